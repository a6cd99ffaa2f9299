import { z } from 'zod'
import { agentId, missionId } from './ids.ts'
import { seatStatus } from './seat.ts'

/** Epoch seconds, as the original endpoints have them. */
const epochSeconds = z.number()

export const healthStatus = z.enum(['healthy', 'degraded', 'unhealthy'])
export type HealthStatus = z.infer<typeof healthStatus>

/** Bytes of metadata that one heartbeat may carry, as JSON. */
export const METADATA_LIMIT = 4096

const encoder = new TextEncoder()

function isBounded(data: unknown): boolean {
  try {
    const text = JSON.stringify(data)
    // No character takes more than three bytes of UTF-8 for each of its units.
    return text.length * 3 <= METADATA_LIMIT || encoder.encode(text).length <= METADATA_LIMIT
  } catch {
    return false // Nested so deep that it cannot be written again.
  }
}

export const heartbeatMetadata = z
  .record(z.string().max(128), z.unknown())
  .refine(isBounded, `at most ${METADATA_LIMIT} bytes as JSON`)

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

/** What is seen of an agent in one place, each sign for itself: an agent that is silent may only be thinking. */
export const signsOfLife = z.strictObject({
  mission_id: missionId.nullable().meta({ description: 'null: outside every mission' }),
  process: seatStatus.nullable().meta({ description: 'Status of its seat: active means that its process runs' }),
  generation: z.int().nonnegative(),
  last_output: epochSeconds.nullable().meta({ description: 'When it last wrote to stdout or stderr' }),
  last_heartbeat: epochSeconds.nullable(),
  silence: z.number().nullable().meta({
    description:
      'Seconds without a heartbeat from this generation, on a clock that neither jumps nor runs in a suspend',
  }),
  suspicion: z.number().nullable().meta({ description: 'phi: 8 means that once in 10^8 it is so silent and lives' }),
})
export type SignsOfLife = z.infer<typeof signsOfLife>

export const agentDetail = agentHealth.extend({ signs: z.array(signsOfLife) })
export type AgentDetail = z.infer<typeof agentDetail>

export const healthReport = z.strictObject({
  timestamp: epochSeconds,
  total_agents: z.int(),
  healthy: z.int(),
  degraded: z.int(),
  unhealthy: z.int(),
  agents: z.record(z.string(), agentHealth),
})
export type HealthReport = z.infer<typeof healthReport>
