import type { SomeHandlers } from '../handler.ts'
import { page } from './page.ts'

export const revivalHandlers: SomeHandlers<'revival_list' | 'revival_approve' | 'revival_decline' | 'incident_list'> = {
  revival_list: async ({ app, query }) => {
    const { items, next } = page(app.listRevivals(), ({ revival_id }) => revival_id, query)
    return { revivals: items, next }
  },
  revival_approve: ({ app, params, principal }) => app.approveRevival(params.revival_id, principal),
  revival_decline: ({ app, params, principal }) => app.declineRevival(params.revival_id, principal),
  incident_list: async ({ app, query }) => {
    const newestFirst = app.listIncidents(query.mission_id).toReversed()
    const { items, next } = page(newestFirst, ({ incident_id }) => incident_id, query)
    return { incidents: items, next }
  },
}
