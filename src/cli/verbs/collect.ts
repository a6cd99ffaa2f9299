import type { Command } from 'commander'
import type { Collection } from '../../contract/seat.ts'
import { seatPath } from '../find-mission.ts'
import { describeCollection, fetchLine } from '../render/collection.ts'
import { addVerb, type Run } from '../verb.ts'

const WORDS = {
  usage: 'collect <mission> <agent>',
  summary: 'bring the commits of a seat into the trusted repository',
  examples: ['collect mend builder', 'collect mend builder --json | jq -r .outcome'],
}

export function addCollectVerb(program: Command, run: Run): void {
  addVerb(program, run, WORDS, async (session, [mission = '', agent = '']) => {
    const path = `${await seatPath(session, mission, agent)}/collect`
    const answer = await session.progress('Collecting the commits', session.post<Collection>(path))
    await session.print(answer, (collection) => {
      const fetch =
        collection.commits.length > 0
          ? `\nTo bring them home:\n  ${fetchLine(collection.repository, collection.branch)}\n`
          : ''
      return describeCollection(collection, session.colours) + fetch
    })
  })
}
