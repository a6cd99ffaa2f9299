import type { Command } from 'commander'
import { seatPath } from '../find-mission.ts'
import { wholeNumber } from '../parse.ts'
import { addVerb, type Run } from '../verb.ts'

const WORDS = {
  usage: 'logs <mission> <agent>',
  summary: 'output of the agent, as it came',
  examples: ['logs mend builder --tail 50', 'logs -f mend builder'],
}

export function addLogsVerb(program: Command, run: Run): void {
  addVerb<{ follow?: true; tail?: number }>(
    program,
    run,
    WORDS,
    async (session, [mission = '', agent = ''], { follow, tail }) => {
      const path = `${await seatPath(session, mission, agent)}/logs`
      for await (const chunk of await session.stream('GET', path, { query: { follow, tail } }))
        await session.write(chunk)
    },
    (verb) =>
      verb
        .option('-f, --follow', 'go on as the agent writes')
        .option('--tail <lines>', 'only so many lines from the end', wholeNumber),
  )
}
