import { LazarusError } from '../../kernel/errors.ts'
import { BytesReply, type SomeHandlers } from '../handler.ts'
import { page } from './page.ts'

export const seatHandlers: SomeHandlers<
  | 'self'
  | 'seat_add'
  | 'seat_list'
  | 'seat_read'
  | 'seat_withdraw'
  | 'seat_collect'
  | 'seat_diff'
  | 'seat_kill'
  | 'seat_usage'
> = {
  self: async ({ app, principal }) => {
    if (principal.kind === 'seat') return app.readSeat(principal.name.mission_id, principal.name.agent_id)
    throw new LazarusError('seat_not_found', 'The operator has no seat', {
      remedy: 'Ask through the socket of a cell, or with the token of a seat.',
    })
  },
  seat_add: ({ app, params, body, abort }) => app.addSeat(params.mission_id, body, abort),
  seat_list: async ({ app, params, query }) => {
    const { items, next } = page(app.listSeats(params.mission_id), (seat) => seat.agent_id, query)
    return { seats: items, next }
  },
  seat_read: async ({ app, params }) => app.readSeat(params.mission_id, params.agent_id),
  seat_withdraw: ({ app, params, query }) => app.withdrawSeat(params.mission_id, params.agent_id, query.force ?? false),
  seat_collect: ({ app, params, abort }) => app.collect(params.mission_id, params.agent_id, abort),
  seat_diff: async ({ app, params, abort }) => {
    const { text, truncated } = await app.diff(params.mission_id, params.agent_id, abort)
    return new BytesReply('text/x-diff; charset=utf-8', text, truncated ? { 'x-truncated': 'true' } : {})
  },
  seat_usage: ({ app, params }) => app.seatUsage(params.mission_id, params.agent_id),
  seat_kill: ({ app, params, body }) => app.killSeat(params.mission_id, params.agent_id, body.signal),
}
