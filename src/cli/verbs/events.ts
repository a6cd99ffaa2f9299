import type { Command } from 'commander'
import type { RecordedEvent } from '../../contract/event.ts'
import { missionId } from '../find-mission.ts'
import { wholeNumber } from '../parse.ts'
import { inert } from '../render/human.ts'
import { serverSentData } from '../server-sent.ts'
import { addVerb, type Run } from '../verb.ts'

interface EventsOptions {
  follow?: true
  mission?: string
  types?: string
  after?: number
  limit?: number
}

const WORDS = {
  usage: 'events',
  summary: 'what happened, from the ledger',
  examples: ['events --mission mend', 'events -f --types seat_exited,collected', 'events -f --json | jq -c .type'],
  notes: 'With -f and --json: one event per line.',
}

export function addEventsVerb(program: Command, run: Run): void {
  addVerb<EventsOptions>(
    program,
    run,
    WORDS,
    async (session, _args, { follow, mission, types, after, limit }) => {
      const mission_id = mission === undefined ? undefined : await missionId(session, mission)
      const query = { mission_id, types, after, limit }
      if (!follow) {
        const answer = await session.get<{ events: RecordedEvent[] }>('/v1/events', { query })
        return session.print(answer, ({ events }) => events.map(line).join(''))
      }
      const stream = await session.stream('GET', '/v1/events', {
        query: { ...query, limit: undefined },
        accept: 'text/event-stream',
      })
      for await (const data of serverSentData(stream))
        await session.write(session.json ? `${data}\n` : line(JSON.parse(data)))
    },
    (verb) =>
      verb
        .option('-f, --follow', 'go on as things happen')
        .option('--mission <mission>', 'only of this mission')
        .option('--types <list>', 'only these types, comma-separated')
        .option('--after <sequence>', 'only after this position', wholeNumber)
        .option('--limit <n>', 'at most so many (default: 1000)', wholeNumber),
  )
}

/** 17  2026-01-02 03:04:05  3f2a9c1e  builder  seat_exited  {"generation":1,…} */
function line(event: RecordedEvent): string {
  const data = JSON.stringify(event.data)
  const shown = data.length > 160 ? `${data.slice(0, 160)}…` : data
  const at = event.at.replace('T', ' ').slice(0, 19)
  return `${[event.seq, at, event.mission_id.slice(0, 8), event.agent_id ?? '-', event.type, inert(shown)].join('  ')}\n`
}
