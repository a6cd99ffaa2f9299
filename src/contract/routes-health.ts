import { z } from 'zod'
import { agentDetail, healthReport, heartbeatReply, heartbeatRequest } from './health.ts'
import { agentId } from './ids.ts'
import { EVERY_ROLE, json, OPERATOR, type Route } from './route.ts'

const agentParams = z.strictObject({ agent_id: agentId })

/** The original health endpoints. Their times are epoch seconds. */
export const HEALTH_ROUTES = {
  heartbeat: {
    method: 'POST',
    path: '/heartbeat/:agent_id',
    tag: 'health',
    summary: 'An agent lives; durable when it answers',
    access: { own_agent: EVERY_ROLE },
    params: agentParams,
    body: heartbeatRequest,
    answer: json(heartbeatReply),
    frequent: true,
  },
  agent_health: {
    method: 'GET',
    path: '/agent/:agent_id',
    tag: 'health',
    summary: 'Health of one agent, with each sign of life for itself',
    access: { own_agent: EVERY_ROLE },
    params: agentParams,
    answer: json(agentDetail),
  },
  health: {
    method: 'GET',
    path: '/health',
    tag: 'health',
    summary: 'Health of every agent',
    access: OPERATOR,
    answer: json(healthReport),
  },
} as const satisfies Record<string, Route>
