import type { Command } from 'commander'
import type { Incident } from '../../contract/revival.ts'
import { missionId } from '../find-mission.ts'
import { wholeNumber } from '../parse.ts'
import { incidentTable } from '../render/incidents.ts'
import { addVerb, type Run } from '../verb.ts'

const WORDS = {
  usage: 'incidents [mission]',
  summary: 'every death, newest first: how soon it was noticed and undone, and what was lost',
  examples: ['incidents', 'incidents mend', 'incidents --limit 1000 --json | jq "[.incidents[].time_to_revive_ms]"'],
  notes:
    'DETECT: from the death to its notice. REVIVE: from the death to the running successor. FROM: what the successor began\n' +
    'with, its live layer or a checkpoint. LOST: the age of that checkpoint; nothing from the live layer.',
}

export function addIncidentsVerb(program: Command, run: Run): void {
  addVerb<{ limit?: number }>(
    program,
    run,
    WORDS,
    async (session, [mission], { limit = 100 }) => {
      const mission_id = mission === undefined ? undefined : await missionId(session, mission)
      const answer = await session.get<{ incidents: Incident[]; next: string | null }>('/v1/incidents', {
        query: { mission_id, limit },
      })
      await session.print(answer, ({ incidents, next }) => {
        if (incidents.length === 0) return 'Nobody died.\n'
        const more = next === null ? '' : `… there are older ones: --limit ${limit * 10}\n`
        return incidentTable(incidents, session.colours, session.io.now(), mission === undefined) + more
      })
    },
    (verb) => verb.option('--limit <n>', 'at most so many, up to 1000 (default: 100)', wholeNumber),
  )
}
