import type { SomeHandlers } from '../handler.ts'

export const hostHandlers: SomeHandlers<'host' | 'status'> = {
  host: ({ app, query }) => app.host({ refresh: query.refresh ?? false }),
  status: async ({ app }) => app.status(),
}
