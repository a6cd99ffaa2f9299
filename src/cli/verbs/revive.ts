import type { Command } from 'commander'
import type { RevivedSeat } from '../../contract/seat.ts'
import { checkpointId } from '../find-checkpoint.ts'
import { seatPath } from '../find-mission.ts'
import { describeRevived } from '../render/seats.ts'
import { addVerb, type Run } from '../verb.ts'

const WORDS = {
  usage: 'revive <mission> <agent>',
  summary: 'bring a dead or quarantined agent back into its cell, with its work',
  examples: ['revive mend builder', 'revive mend builder --from latest', 'revive mend builder --as second'],
  notes:
    'Without --from it goes on where it died: from its live layer, or from the newest sound checkpoint when the layer is\n' +
    'torn. It is the way out of quarantine: its retries count from zero again. The token that is printed is shown once.',
}

export function addReviveVerb(program: Command, run: Run): void {
  addVerb<{ from?: string; as?: string }>(
    program,
    run,
    WORDS,
    async (session, [mission = '', agent = ''], { from, as: agent_id }) => {
      const seat = await seatPath(session, mission, agent)
      const checkpoint_id = from === undefined ? undefined : await checkpointId(session, seat, from)
      const work = session.post<RevivedSeat>(`${seat}/revive`, { checkpoint_id, agent_id })
      await session.print(await session.progress('Reviving the agent', work), describeRevived)
    },
    (verb) =>
      verb
        .option('--from <checkpoint>', 'begin from this checkpoint: a prefix of its id, or "latest"')
        .option('--as <agent>', 'a substitute takes its place, with its work, on a branch of its own'),
  )
}
