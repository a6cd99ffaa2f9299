import type { Command } from 'commander'
import type { DeadManReport } from '../../contract/dead-man.ts'
import { EXIT } from '../exit-codes.ts'
import { duration, inert } from '../render/human.ts'
import { addVerb, type Run } from '../verb.ts'

const WORDS = {
  usage: 'dead-man',
  summary: 'look once whether the pit lives, and raise the alert when it has been silent for too long',
  examples: ['dead-man', 'dead-man --json | jq .status'],
  notes:
    'For a timer (lazarus service install) or cron. dead_man in the configuration names the bound and who is told: once per outage, and once more when the pit is back. A pit that was stopped is not missed. Exit code 1 when it is dead, or when somebody could not be told.',
}

export function addDeadManVerb(program: Command, run: Run): void {
  addVerb(program, run, WORDS, async (session) => {
    const report = await session.settings.local.deadMan(session.state_dir)
    await session.print({ text: JSON.stringify(report), value: report }, describe)
    const untold = report.deliveries.some(({ error }) => error !== null)
    return report.status === 'dead' || untold || !report.remembered ? EXIT.failed : EXIT.done
  })
}

function describe({ status, reason, silent_s, after_s, deliveries, remembered }: DeadManReport): string {
  const silence =
    status === 'silent' || status === 'dead' ? `, silent for ${duration(silent_s * 1000)} of ${after_s} s` : ''
  const told = deliveries.map(({ event, way, error }) =>
    error === null ? `${event}: told by ${way}\n` : `${event}: not told by ${way}: ${inert(error)}\n`,
  )
  const forgotten = remembered ? '' : 'This look could not be remembered: is the disk full?\n'
  return `${status}${silence}: ${inert(reason)}\n${told.join('')}${forgotten}`
}
