import type { Command } from 'commander'
import type { RevivedSeat } from '../../contract/seat.ts'
import { checkpointId } from '../find-checkpoint.ts'
import { seatPath } from '../find-mission.ts'
import { describeRevived } from '../render/seats.ts'
import { addVerb, type Run } from '../verb.ts'

const WORDS = {
  usage: 'restore <mission> <agent> <checkpoint>',
  summary: 'go back to a checkpoint, named by the beginning of its id or "latest"',
  examples: ['restore mend builder latest', 'restore mend builder ckpt_3f2a'],
  notes:
    'The checkpoint is verified first; a damaged one changes nothing (exit code 4). Then the present is checkpointed, so\n' +
    'that there is a way back. The agent is stopped, and its next generation starts from the checkpoint with its resume\n' +
    'command. The old token is refused from then on; the new one is shown once.',
}

export function addRestoreVerb(program: Command, run: Run): void {
  addVerb(program, run, WORDS, async (session, [mission = '', agent = '', text = '']) => {
    const seat = await seatPath(session, mission, agent)
    const checkpoint_id = await checkpointId(session, seat, text)
    const work = session.post<RevivedSeat>(`${seat}/restore`, { checkpoint_id })
    await session.print(await session.progress('Restoring', work), describeRevived)
  })
}
