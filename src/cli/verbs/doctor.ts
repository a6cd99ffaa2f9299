import type { Command } from 'commander'
import type { Check, HostReport, LevelReport } from '../../contract/host.ts'
import { isLazarusError } from '../../kernel/errors.ts'
import { EXIT } from '../exit-codes.ts'
import { facts, table } from '../render/table.ts'
import type { Answer, Session } from '../session.ts'
import { addVerb, type Run } from '../verb.ts'

const WORDS = {
  usage: 'doctor',
  summary: 'what each isolation level can promise on this host, and what to mend',
  examples: ['doctor', 'doctor --refresh', 'doctor --json | jq ".levels[] | {level, status}"'],
  notes: 'Asks the running pit; without one it probes this host itself. Exit code 5 when no level is usable.',
}

export function addDoctorVerb(program: Command, run: Run): void {
  addVerb<{ refresh?: true }>(
    program,
    run,
    WORDS,
    async (session, _args, { refresh }) => {
      const answer = await session.progress('Probing the levels', report(session, refresh))
      await session.print(answer, (host) => render(session, host))
      return answer.value.levels.some((level) => level.status !== 'unavailable') ? EXIT.done : EXIT.unavailable
    },
    (verb) => verb.option('--refresh', 'probe again instead of telling the last result'),
  )
}

async function report(session: Session, refresh: true | undefined): Promise<Answer<HostReport>> {
  try {
    return await session.get<HostReport>('/v1/host', { query: { refresh } })
  } catch (error) {
    if (session.isElsewhere || !isLazarusError(error) || error.code !== 'pit_not_running') throw error
    const value = await session.settings.local.doctor(session.state_dir)
    return { text: JSON.stringify(value), value }
  }
}

function render(session: Session, host: HostReport): string {
  const { status, bold } = session.colours
  const about = facts([
    ['host', `${host.os}, kernel ${host.kernel}, user ${host.user}`],
    [
      'cgroups',
      host.delegated_controllers.length > 0
        ? `${host.cgroups}, delegated: ${host.delegated_controllers.join(', ')}`
        : `${host.cgroups}, nothing delegated`,
    ],
    ['worktrees', host.overlay ? 'overlay layers' : 'private clones (no overlay here)'],
  ])
  const levels = table<LevelReport>(
    [
      { title: 'LEVEL', value: (level) => level.level },
      { title: 'STATUS', value: (level) => level.status, paint: (cell, value) => cell.replace(value, status(value)) },
      { title: 'REASON', value: (level) => level.reason },
    ],
    host.levels,
  )
  const failing = [...host.checks, ...host.levels.flatMap((level) => level.checks)].filter((check) => !check.ok)
  return `${about}\n${levels}${failing.length === 0 ? '' : `\n${bold('To mend:')}\n${mending(failing)}`}`
}

/** What fails for the same reason and is mended in the same way is told once. */
function mending(checks: readonly Check[]): string {
  const groups = Object.groupBy(
    checks,
    ({ message, remedy }) => `${message}\n${remedy === null ? '' : `  remedy: ${remedy}\n`}`,
  )
  return Object.entries(groups)
    .map(([told, some = []]) => `- ${[...new Set(some.map(({ name }) => name))].join(', ')}: ${told}`)
    .join('')
}
