import type { SomeHandlers } from '../handler.ts'
import { page } from './page.ts'

export const checkpointHandlers: SomeHandlers<
  | 'checkpoint_take'
  | 'checkpoint_list'
  | 'checkpoint_verify'
  | 'checkpoint_fork'
  | 'checkpoint_remove'
  | 'checkpoint_prune'
  | 'seat_restore'
  | 'seat_revive'
> = {
  checkpoint_take: ({ app, params, body, abort }) =>
    app.checkpointSeat(params.mission_id, params.agent_id, body.reason ?? 'asked for', abort),
  checkpoint_list: async ({ app, params, query }) => {
    const all = app.listCheckpoints(params.mission_id, params.agent_id)
    const { items, next } = page(all, ({ checkpoint_id }) => checkpoint_id, query)
    return { checkpoints: items, next }
  },
  checkpoint_verify: ({ app, params, abort }) =>
    app.verifyCheckpoint(params.mission_id, params.agent_id, params.checkpoint_id, abort),
  checkpoint_fork: ({ app, params, body, principal, abort }) => app.forkCheckpoint(params, body, principal, abort),
  checkpoint_remove: ({ app, params }) =>
    app.removeCheckpoint(params.mission_id, params.agent_id, params.checkpoint_id),
  checkpoint_prune: ({ app, params, body }) => app.pruneCheckpoints(params.mission_id, params.agent_id, body),
  seat_restore: ({ app, params, body, abort }) =>
    app.restoreSeat(params.mission_id, params.agent_id, body.checkpoint_id, abort),
  seat_revive: ({ app, params, body, abort }) => app.reviveSeat(params.mission_id, params.agent_id, body, abort),
}
