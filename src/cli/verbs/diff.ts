import type { Command } from 'commander'
import { seatPath } from '../find-mission.ts'
import { addVerb, type Run } from '../verb.ts'

const WORDS = {
  usage: 'diff <mission> <agent>',
  summary: 'committed and uncommitted work of a seat against its base',
  examples: ['diff mend builder', 'diff mend builder | git apply --check'],
}

export function addDiffVerb(program: Command, run: Run): void {
  addVerb(program, run, WORDS, async (session, [mission = '', agent = '']) => {
    const path = `${await seatPath(session, mission, agent)}/diff`
    const answer = await session.progress('Computing the diff', session.stream('GET', path))
    for await (const chunk of answer) await session.write(chunk)
    if (answer.headers['x-truncated'] === 'true') session.note('The diff was cut: collect the work to see all of it.')
  })
}
