import type { Command } from 'commander'
import type { WithdrawReport } from '../../contract/mission.ts'
import { seatPath } from '../find-mission.ts'
import { describeReleased, describeSnapshot } from '../render/destroy.ts'
import { addVerb, type Run, type VerbWords } from '../verb.ts'

const WORDS = {
  usage: 'withdraw <mission> <agent>',
  summary: 'end one seat of a mission',
  examples: ['withdraw mend builder', 'withdraw mend builder --force'],
  notes:
    'Refused (exit code 4) while the seat holds work that was neither collected nor checkpointed. A last snapshot of it goes\n' +
    'to the trash.',
}

export function addWithdrawVerb(program: Command, run: Run, words: VerbWords = WORDS): void {
  addVerb<{ force?: true }>(
    program,
    run,
    words,
    async (session, [mission = '', agent = ''], { force }) => {
      const path = await seatPath(session, mission, agent)
      const answer = await session.progress(
        'Ending the seat',
        session.delete<WithdrawReport>(path, { query: { force } }),
      )
      await session.print(answer, ({ seat, released, final_checkpoint }) =>
        [
          `withdrawn ${seat.agent_id}`,
          `released: ${describeReleased(released)}`,
          ...(final_checkpoint ? [describeSnapshot(final_checkpoint)] : []),
          '',
        ].join('\n'),
      )
    },
    (verb) => verb.option('--force', 'also when the seat holds work that nothing else has'),
  )
}
