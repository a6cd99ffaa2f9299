import { z } from 'zod'
import { agentId, isoDateTime, missionId } from './ids.ts'

export const checkpointId = z
  .string()
  .regex(/^ckpt_[0-9a-f]{24}$/, 'an id that POST …/checkpoints gave')
  .meta({ description: 'Id of a checkpoint: ckpt_ and the beginning of the sha256 of its manifest' })

const sha256 = z.string().regex(/^[0-9a-f]{64}$/)

/** What brought a checkpoint about: a caller's own words, or one of ours. */
export const checkpointReason = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\p{Cc}]+$/u, 'no control characters')

export const checkpointRequest = z.strictObject({ reason: checkpointReason.optional() })
export type CheckpointRequest = z.infer<typeof checkpointRequest>

/** One tar snapshot of a seat, as the ledger knows it. */
export const checkpoint = z.strictObject({
  checkpoint_id: checkpointId,
  mission_id: missionId,
  agent_id: agentId,
  generation: z.int().positive(),
  sequence: z.int().positive().meta({ description: 'Rises with every checkpoint of the seat' }),
  sha256: sha256.meta({ description: 'Of snapshot.tar.zst' }),
  manifest_sha256: sha256,
  context_hash: sha256.meta({ description: 'Of context.json' }),
  fingerprint: sha256.meta({ description: 'Of names, kinds, sizes, modes and times in the layer and the home' }),
  bytes: z.int().meta({ description: 'Size of snapshot.tar.zst' }),
  content_bytes: z.int().meta({ description: 'Size of the tar before compression' }),
  entries: z.int(),
  took_ms: z.number(),
  created_at: isoDateTime,
  reason: z.string(),
  paused: z.boolean().meta({ description: 'Nothing in the seat ran while it was taken' }),
  shares: checkpointId
    .nullable()
    .meta({ description: 'The checkpoint whose archive this one shares: nothing changed' }),
})
export type Checkpoint = z.infer<typeof checkpoint>

/** `state.json`: the seat at that moment. */
export const checkpointState = z.strictObject({
  mission_id: missionId,
  agent_id: agentId,
  role: z.string(),
  status: z.string(),
  generation: z.int().positive(),
  isolation_level: z.string(),
  branch: z.string().nullable(),
  base: z.strictObject({ repo: z.string().nullable(), ref: z.string().nullable(), commit: z.string().nullable() }),
  collected: z.strictObject({ head: z.string(), outcome: z.string(), at: isoDateTime }).nullable(),
})
export type CheckpointState = z.infer<typeof checkpointState>

/** `context.json`: what a revived agent needs to resume instead of starting over. Values of its environment are not in it. */
export const checkpointContext = z.strictObject({
  command: z.array(z.string()).nullable(),
  resume_command: z.array(z.string()).nullable(),
  env_names: z.array(z.string()),
  session: z
    .record(z.string(), z.unknown())
    .meta({ description: 'What the agent reported last as metadata of a heartbeat: its session id, for example' }),
})
export type CheckpointContext = z.infer<typeof checkpointContext>

/** `manifest.json`. */
export const checkpointManifest = checkpoint
  .omit({ checkpoint_id: true, manifest_sha256: true, took_ms: true })
  .extend({
    format: z.literal(1),
    state_sha256: sha256,
    artifacts: z
      .array(z.strictObject({ path: z.string(), bytes: z.int() }))
      .meta({ description: 'Files below /artifacts at that moment, at most 1,000; they are not in the archive' }),
  })
export type CheckpointManifest = z.infer<typeof checkpointManifest>

export const checkpointVerification = z.strictObject({
  checkpoint_id: checkpointId,
  sound: z.literal(true),
  bytes: z.int().meta({ description: 'Read again and hashed' }),
  entries: z.int(),
  took_ms: z.number(),
})
export type CheckpointVerification = z.infer<typeof checkpointVerification>

export const pruneRequest = z.strictObject({
  keep: z.int().min(1).max(10_000).optional().meta({ description: 'Newest ones to keep; default: the retention' }),
})
export type PruneRequest = z.infer<typeof pruneRequest>
export const pruneReport = z.strictObject({
  pruned: z.array(checkpointId),
  kept: z.int(),
  freed_bytes: z.int(),
})
export type PruneReport = z.infer<typeof pruneReport>

export const restoreRequest = z.strictObject({ checkpoint_id: checkpointId })
export type RestoreRequest = z.infer<typeof restoreRequest>
