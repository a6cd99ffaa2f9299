import { z } from 'zod'
import { isolationLevel } from './ids.ts'
import { effectiveIsolation, promiseName } from './policy.ts'

/** One thing that was tried or looked up, and what it showed. */
export const check = z.strictObject({
  name: z.string(),
  ok: z.boolean(),
  message: z.string(),
  remedy: z.string().nullable(),
  promise: promiseName
    .nullable()
    .meta({ description: 'The promise that fails with this check; null when the level itself does' }),
})
export type Check = z.infer<typeof check>

export const levelReport = z.strictObject({
  level: isolationLevel,
  status: z.enum(['ready', 'degraded', 'unavailable']),
  reason: z.string().nullable(),
  remedy: z.string().nullable(),
  effective: effectiveIsolation.nullable().meta({ description: 'Measured in a throw-away cell' }),
  checks: z.array(check),
})
export type LevelReport = z.infer<typeof levelReport>

export const hostReport = z.strictObject({
  version: z.string(),
  os: z.string(),
  kernel: z.string(),
  user: z.string(),
  cgroups: z.enum(['v2', 'hybrid', 'v1', 'none']),
  delegated_controllers: z.array(z.string()),
  overlay: z.boolean().meta({ description: 'Whether seats get overlay layers; else private clones' }),
  probed_at: z.string(),
  checks: z.array(check),
  levels: z.array(levelReport),
})
export type HostReport = z.infer<typeof hostReport>
