import type { Command } from 'commander'
import type { Seat } from '../../contract/seat.ts'
import { seatPath } from '../find-mission.ts'
import { signalName } from '../parse.ts'
import { addVerb, type Run } from '../verb.ts'

const WORDS = {
  usage: 'kill <mission> <agent>',
  summary: 'signal the agent of a seat; the policy of the mission decides what follows',
  examples: ['kill mend builder', 'kill mend builder --signal TERM'],
}

export function addKillVerb(program: Command, run: Run): void {
  addVerb<{ signal?: string }>(
    program,
    run,
    WORDS,
    async (session, [mission = '', agent = ''], { signal }) => {
      const body = signal === undefined ? {} : { signal }
      const answer = await session.post<Seat>(`${await seatPath(session, mission, agent)}/kill`, body)
      await session.print(
        answer,
        (seat) => `${seat.agent_id}: ${signal ?? 'SIGKILL'} sent; the seat is ${seat.status}\n`,
      )
    },
    (verb) => verb.option('--signal <name>', 'signal to send (default: KILL)', signalName),
  )
}
