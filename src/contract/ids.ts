import { z } from 'zod'

/** Ids that people choose: they become file names, ref names and label values, so the alphabet is small. */
export const agentId = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9_-]{0,62}$/,
    'lower-case letters, digits, "_" and "-", 1 to 63 of them, first a letter or digit',
  )
  .meta({ description: 'Id of an agent, chosen by the user', examples: ['builder'] })

export const missionId = z.uuid().meta({ description: 'Id of a mission, made by the server' })

export const sealId = z
  .string()
  .regex(/^seal_[A-Za-z0-9_-]{8,64}$/, 'an id that POST /v1/homes/seal gave')
  .meta({ description: 'Id of a seal of the homes' })

export const isoDateTime = z.iso.datetime({ precision: 3 }).meta({ description: 'ISO-8601 UTC with milliseconds' })

export const isolationLevel = z.enum(['level_1', 'level_2', 'level_3', 'none'])
export type IsolationLevel = z.infer<typeof isolationLevel>

export const role = z.enum(['lead', 'write', 'read', 'audit'])
export type Role = z.infer<typeof role>

/** Names one seat of one mission; with a generation, one sandbox. Everything outside the ledger derives its name from this. */
export interface SeatName {
  readonly mission_id: string
  readonly agent_id: string
}
export interface SandboxName extends SeatName {
  readonly generation: number
}
