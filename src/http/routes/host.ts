import type { SomeHandlers } from '../handler.ts'

export const hostHandlers: SomeHandlers<'host'> = {
  host: ({ app, query }) => app.host({ refresh: query.refresh ?? false }),
}
