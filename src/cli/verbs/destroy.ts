import type { Command } from 'commander'
import type { DestroyReport } from '../../contract/mission.ts'
import { missionPath } from '../find-mission.ts'
import { describeDestroy } from '../render/destroy.ts'
import { addVerb, type Run } from '../verb.ts'

const WORDS = {
  usage: 'destroy <mission>',
  summary: 'end everything of a mission, and print the proof that no home changed',
  examples: ['destroy mend', 'destroy 3f2a --force'],
  notes:
    'Refused (exit code 4) while a seat holds work that was neither collected nor checkpointed. What was collected and a\n' +
    'last snapshot of each seat go to the trash; the printed lines bring the commits home.',
}

export function addDestroyVerb(program: Command, run: Run): void {
  addVerb<{ force?: true }>(
    program,
    run,
    WORDS,
    async (session, [mission = ''], { force }) => {
      const path = await missionPath(session, mission)
      const answer = await session.progress(
        'Destroying the cell',
        session.delete<DestroyReport>(path, { query: { force } }),
      )
      await session.print(answer, describeDestroy)
    },
    (verb) => verb.option('--force', 'also when a seat holds work that nothing else has'),
  )
}
