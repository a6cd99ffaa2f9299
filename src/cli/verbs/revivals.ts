import type { Command } from 'commander'
import type { Revival } from '../../contract/revival.ts'
import type { Seat } from '../../contract/seat.ts'
import { listRevivals, revivalId } from '../find-revival.ts'
import { ago, duration } from '../render/human.ts'
import { nextStep } from '../render/seats.ts'
import { table } from '../render/table.ts'
import type { Session } from '../session.ts'
import { addVerb, type Run } from '../verb.ts'

const LIST = {
  usage: 'ls',
  summary: 'deaths that wait to be undone, oldest first; "ls" may be left out',
  examples: ['revivals', 'revivals --json | jq ".revivals[] | select(.approval == \\"needed\\")"'],
}
const APPROVE = {
  usage: 'approve <revival>',
  summary: 'let a revival go on that asks first',
  examples: ['revivals approve rev_4kT9'],
  notes: 'The beginning of the id is enough.',
}
const DECLINE = {
  usage: 'decline <revival>',
  summary: 'give the agent up; its work stays to be collected',
  examples: ['revivals decline rev_4kT9'],
  notes: 'The beginning of the id is enough. Another day: lazarus revive <mission> <agent>',
}

export function addRevivalsVerb(program: Command, run: Run): void {
  const revivals = program
    .command('revivals')
    .helpCommand(false)
    .showHelpAfterError('see: lazarus revivals --help')
    .usage('[ls]\n       lazarus revivals approve|decline <revival>')
    .description('the queue of agents that wait to be brought back')
    .addHelpText('after', '\nExamples:\n  lazarus revivals\n  lazarus revivals approve rev_4kT9')
  addVerb<{ ids?: true }>(revivals, run, LIST, list, (verb) => verb.option('--ids', 'print ids alone'), {
    isDefault: true,
  })
  addVerb(
    revivals,
    run,
    APPROVE,
    answerWith('approve', ({ agent_id }) => `${agent_id}: approved, and being brought back\n`),
  )
  addVerb(
    revivals,
    run,
    DECLINE,
    answerWith('decline', ({ agent_id, status }) => `${agent_id}: declined; the seat is ${status}, its work stays\n`),
  )
}

const answerWith =
  (answer: 'approve' | 'decline', say: (seat: Seat) => string) =>
  async (session: Session, [text = '']: readonly string[]): Promise<void> => {
    const path = `/v1/revivals/${encodeURIComponent(await revivalId(session, text))}/${answer}`
    await session.print(await session.post<Seat>(path), say)
  }

async function list(session: Session, _args: readonly string[], { ids }: { ids?: true }): Promise<void> {
  if (session.json) return session.print(await session.get('/v1/revivals', { query: { limit: 1000 } }), String)
  const all = await listRevivals(session)
  if (ids) return session.write(all.map(({ revival_id }) => `${revival_id}\n`).join(''))
  await session.write(all.length === 0 ? 'Nobody waits to be revived.\n' : render(all, session.io.now()))
}

const render = (revivals: readonly Revival[], now: number): string =>
  table<Revival>(
    [
      { title: 'ID', value: (one) => one.revival_id },
      { title: 'MISSION', value: (one) => one.mission_id.slice(0, 8) },
      { title: 'AGENT', value: (one) => one.agent_id },
      { title: 'GEN', value: (one) => one.generation, align: 'right' },
      { title: 'CAUSE', value: (one) => one.cause },
      { title: 'TRY', value: (one) => one.attempt, align: 'right' },
      { title: 'QUEUED', value: (one) => ago(one.queued_at, now) },
      { title: 'GIVEN UP', value: (one) => `in ${duration(Date.parse(one.deadline) - now)}` },
      { title: 'NEXT', value: (one) => nextStep(one, now) },
    ],
    revivals,
  )
