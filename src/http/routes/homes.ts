import type { SomeHandlers } from '../handler.ts'

export const homeHandlers: SomeHandlers<'homes_seal' | 'homes_verify'> = {
  homes_seal: ({ app, body, abort }) => app.sealHomes(body, abort),
  homes_verify: ({ app, body, abort }) => app.verifyHomes(body.seal_id, abort),
}
