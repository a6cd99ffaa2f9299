import type { Mission } from '../contract/mission.ts'
import { LazarusError } from '../kernel/errors.ts'
import { allPages } from './pages.ts'
import type { Session } from './session.ts'

const WHOLE_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

type Named = Pick<Mission, 'mission_id' | 'mission_name' | 'status'>

/** The id that a user means by an id, an unambiguous prefix of one, or a name. Living missions come first. */
export async function missionId(session: Session, text: string): Promise<string> {
  if (WHOLE_ID.test(text)) return text
  const missions = await listMissions(session, { all: true })
  const over = new Set(['archived', 'destroyed'])
  const living = matching(
    missions.filter((mission) => !over.has(mission.status)),
    text,
  )
  const found = living.length > 0 ? living : matching(missions, text)
  if (found.length === 1) return found[0]!.mission_id
  if (found.length === 0)
    throw new LazarusError('mission_not_found', `No mission has the name or id ${JSON.stringify(text)}`)
  const candidates = found.map((mission) => `${mission.mission_id} (${mission.mission_name})`)
  throw new LazarusError(
    'invalid_request',
    `${JSON.stringify(text)} may mean ${found.length} missions: ${candidates.slice(0, 10).join(', ')}`,
    {
      remedy: 'Write more of the id.',
    },
  )
}

const matching = (missions: readonly Named[], text: string): readonly Named[] =>
  missions.filter((mission) => mission.mission_name === text || mission.mission_id.startsWith(text.toLowerCase()))

export const listMissions = (session: Session, query: { readonly all: boolean }): Promise<readonly Mission[]> =>
  allPages<Mission>(session, '/v1/missions', 'missions', { all: query.all || undefined })

export const missionPath = async (session: Session, mission: string): Promise<string> =>
  `/v1/missions/${await missionId(session, mission)}`

export const seatPath = async (session: Session, mission: string, agent: string): Promise<string> =>
  `${await missionPath(session, mission)}/seats/${encodeURIComponent(agent)}`
