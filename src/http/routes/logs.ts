import { type SomeHandlers, StreamReply } from '../handler.ts'

export const logHandlers: SomeHandlers<'seat_logs'> = {
  seat_logs: async ({ app, params, query, abort }) => {
    const options = { follow: query.follow ?? false, tail: query.tail ?? null }
    const output = app.logs(params.mission_id, params.agent_id, options, abort)
    return new StreamReply('text/plain; charset=utf-8', async (write) => {
      for await (const chunk of output) await write(chunk)
    })
  },
}
