import type { Command } from 'commander'
import { listCheckpoints } from '../find-checkpoint.ts'
import { seatPath } from '../find-mission.ts'
import { checkpointTable } from '../render/checkpoints.ts'
import { addVerb, type Run } from '../verb.ts'

const WORDS = {
  usage: 'checkpoints <mission> <agent>',
  summary: 'list the checkpoints of a seat, oldest first',
  examples: ['checkpoints mend builder', 'checkpoints mend builder --json | jq -r ".checkpoints[-1].checkpoint_id"'],
  notes:
    'PAUSED: nothing in the seat ran while it was taken. SHARES: nothing had changed, so the archive of that one is\n' +
    'shared and takes no space again. Take one with: lazarus checkpoint <mission> <agent>',
}

export function addCheckpointsVerb(program: Command, run: Run): void {
  addVerb<{ ids?: true }>(
    program,
    run,
    WORDS,
    async (session, [mission = '', agent = ''], { ids }) => {
      const seat = await seatPath(session, mission, agent)
      if (session.json)
        return session.print(await session.get(`${seat}/checkpoints`, { query: { limit: 1000 } }), String)
      const all = await listCheckpoints(session, seat)
      if (ids) return session.write(all.map(({ checkpoint_id }) => `${checkpoint_id}\n`).join(''))
      await session.write(
        all.length === 0
          ? `No checkpoints yet. Take one with: lazarus checkpoint ${mission} ${agent}\n`
          : checkpointTable(all, session.io.now()),
      )
    },
    (verb) => verb.option('--ids', 'print ids alone'),
  )
}
