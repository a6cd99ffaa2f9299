import { z } from 'zod'
import { checkpointId } from './checkpoint.ts'
import { agentId, isoDateTime, missionId } from './ids.ts'
import { exitCause } from './seat.ts'

export const revivalId = z
  .string()
  .regex(/^rev_[A-Za-z0-9_-]{8,64}$/)
  .meta({ description: 'Id of a revival in the queue' })

/** A death that waits to be undone. */
export const revival = z.strictObject({
  revival_id: revivalId,
  mission_id: missionId,
  agent_id: agentId,
  generation: z.int().positive().meta({ description: 'The generation that died' }),
  cause: exitCause,
  attempt: z.int().positive().meta({ description: 'Counts within the retry window' }),
  queued_at: isoDateTime,
  not_before: isoDateTime.meta({ description: 'Backoff' }),
  deadline: isoDateTime.meta({ description: 'queued_at and revive_timeout; later the seat is quarantined' }),
  approval: z.enum(['not_needed', 'needed', 'given']),
  substitute: agentId
    .nullable()
    .meta({ description: 'Who takes the place, when the agent itself used up its retries' }),
})
export type Revival = z.infer<typeof revival>

export const reviveRequest = z.strictObject({
  checkpoint_id: checkpointId.optional().meta({ description: 'Default: the live layer when it is intact' }),
  agent_id: agentId.optional().meta({ description: 'A substitute: it gets a seat with this work' }),
})
export type ReviveRequest = z.infer<typeof reviveRequest>

/** What one death cost. Milliseconds; null: not yet, or never. */
export const incident = z.strictObject({
  incident_id: z.string().meta({ description: 'inc_ and the ledger sequence of the death' }),
  mission_id: missionId,
  agent_id: agentId,
  generation: z.int().nonnegative(),
  cause: exitCause.or(z.literal('orphan')),
  code: z.int().nullable(),
  signal: z.string().nullable(),
  died_at: isoDateTime,
  noticed_by: z.string(),
  time_to_detect_ms: z.number(),
  outcome: z.enum(['open', 'revived', 'replaced', 'quarantined', 'released', 'left', 'withdrawn', 'reaped']),
  reason: z.string().nullable(),
  revived_at: isoDateTime.nullable(),
  time_to_revive_ms: z.number().nullable().meta({ description: 'From the death to the running successor' }),
  resumed_from: z.string().nullable().meta({ description: 'live, or the id of a checkpoint' }),
  checkpoint_age_ms: z.number().nullable().meta({ description: 'Of the newest checkpoint at the death' }),
  work_lost_ms: z
    .number()
    .nullable()
    .meta({ description: '0 from the live layer, else the age, at the death, of the checkpoint that it began with' }),
})
export type Incident = z.infer<typeof incident>
