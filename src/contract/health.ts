import { z } from 'zod'
import { agentId } from './ids.ts'

/** Epoch seconds, as the original endpoints have them. */
const epochSeconds = z.number()

export const healthStatus = z.enum(['healthy', 'degraded', 'unhealthy'])
export type HealthStatus = z.infer<typeof healthStatus>

/** Bytes of metadata that one heartbeat may carry, as JSON. */
export const METADATA_LIMIT = 4096

export const heartbeatMetadata = z
  .record(z.string().max(128), z.unknown())
  .refine((data) => JSON.stringify(data).length <= METADATA_LIMIT, `at most ${METADATA_LIMIT} bytes as JSON`)

export const heartbeatRequest = z.strictObject({ metadata: heartbeatMetadata.default({}) })
export type HeartbeatRequest = z.infer<typeof heartbeatRequest>

export const heartbeatReply = z.strictObject({
  status: z.literal('ok'),
  agent_id: agentId,
  timestamp: epochSeconds,
  next_heartbeat: epochSeconds.meta({ description: 'When the next one is expected' }),
})
export type HeartbeatReply = z.infer<typeof heartbeatReply>

export const agentHealth = z.strictObject({
  agent_id: agentId,
  status: healthStatus,
  last_heartbeat: epochSeconds.nullable(),
  last_response: epochSeconds.nullable().meta({ description: 'When its gateway answered last' }),
  consecutive_failures: z.int(),
  response_time: z.number().nullable().meta({ description: 'Seconds that its gateway took, measured' }),
  error_message: z.string().nullable(),
  metadata: z.record(z.string(), z.unknown()),
})
export type AgentHealth = z.infer<typeof agentHealth>

export const healthReport = z.strictObject({
  timestamp: epochSeconds,
  total_agents: z.int(),
  healthy: z.int(),
  degraded: z.int(),
  unhealthy: z.int(),
  agents: z.record(z.string(), agentHealth),
})
export type HealthReport = z.infer<typeof healthReport>
