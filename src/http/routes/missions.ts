import type { SomeHandlers } from '../handler.ts'
import { page } from './page.ts'

export const missionHandlers: SomeHandlers<
  | 'mission_create'
  | 'mission_list'
  | 'mission_inspect'
  | 'mission_pause'
  | 'mission_resume'
  | 'mission_complete'
  | 'mission_archive'
  | 'mission_destroy'
> = {
  mission_create: ({ app, body, principal, abort }) => app.createMission(body, principal, abort),
  mission_list: async ({ app, query }) => {
    const { items, next } = page(app.listMissions({ all: query.all ?? false }), (mission) => mission.mission_id, query)
    return { missions: items, next }
  },
  mission_inspect: async ({ app, params }) => app.inspectMission(params.mission_id),
  mission_pause: ({ app, params }) => app.pauseMission(params.mission_id),
  mission_resume: ({ app, params }) => app.resumeMission(params.mission_id),
  mission_complete: ({ app, params }) => app.completeMission(params.mission_id),
  mission_archive: ({ app, params, abort }) => app.archiveMission(params.mission_id, abort),
  mission_destroy: ({ app, params, query }) => app.destroyMission(params.mission_id, query.force ?? false),
}
