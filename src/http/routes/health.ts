import type { SomeHandlers } from '../handler.ts'

export const healthHandlers: SomeHandlers<'heartbeat' | 'agent_health' | 'health'> = {
  heartbeat: ({ app, params, body, principal }) => app.heartbeat(params.agent_id, body, principal),
  agent_health: ({ app, params, principal }) => app.agentHealth(params.agent_id, principal),
  health: async ({ app }) => app.health(),
}
