import { z } from 'zod'
import { agentId, isoDateTime, isolationLevel, missionId } from './ids.ts'
import { policyOverride } from './policy.ts'
import { seat } from './seat.ts'

export const missionStatus = z.enum([
  'active',
  'paused',
  'completed',
  'failed',
  'archiving',
  'archived',
  'destroying',
  'destroyed',
])
export type MissionStatus = z.infer<typeof missionStatus>

export const workspaceMode = z.enum(['overlay', 'clone'])
export type WorkspaceMode = z.infer<typeof workspaceMode>

/** How the mission treats its seats; the keys of `config/policies.json` and of `cell.json`. Seconds. */
export const cellPolicies = z.strictObject({
  auto_revive: z.enum(['yes', 'no', 'ask']).default('yes'),
  revive_timeout: z.number().positive().max(31_536_000).default(300),
  substitute_agents: z.array(agentId).max(100).default([]),
  max_retries: z.int().nonnegative().max(1000).default(3),
  retry_window: z
    .number()
    .positive()
    .default(600)
    .meta({ description: 'Revivals count against max_retries for so long' }),
  hung_after: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .meta({ description: 'An agent that has sent heartbeats and falls silent for so long is killed; null: never' }),
  handoff_allowed: z.boolean().default(true),
  handoff_approval: z.enum(['auto', 'manual']).default('manual'),
  checkpoint_required: z.boolean().default(false),
  checkpoint_interval: z.number().positive().default(300),
  on_success: z.enum(['idle', 'complete', 'restart']).default('idle'),
})
export type CellPolicies = z.infer<typeof cellPolicies>

type Undefaulted<Shape> = { [Key in keyof Shape]: Shape[Key] extends z.ZodDefault<infer Inner> ? Inner : Shape[Key] }

/** What a mission says of its own. No default fills in what it leaves out: there the configuration of the pit counts. */
const ownPolicies = z
  .strictObject(
    Object.fromEntries(
      Object.entries(cellPolicies.shape).map(([name, schema]) => [name, schema.unwrap()]),
    ) as unknown as Undefaulted<typeof cellPolicies.shape>,
  )
  .partial()

export const missionRequest = z.strictObject({
  mission_name: z
    .string()
    .min(1)
    .max(200)
    .regex(/^[^\p{Cc}]+$/u, 'no control characters'),
  isolation_level: isolationLevel,
  repo: z
    .string()
    .min(1)
    .max(4096)
    .regex(/^[^\p{Cc}]+$/u, 'no control characters')
    .optional()
    .meta({ description: 'Path, file:// or any URL that git takes. Without it the worktree starts empty' }),
  ref: z
    .string()
    .min(1)
    .max(255)
    .regex(/^(?!-)[^\p{Cc} ~^:?*[\\]+$/u, 'a branch, tag or commit')
    .optional()
    .meta({ description: 'Branch, tag or commit; default: the HEAD of the repository' }),
  display: z
    .string()
    .min(1)
    .max(4096)
    .regex(/^[^\p{Cc}]+$/u, 'no control characters')
    .optional()
    .meta({ description: 'What the mission calls its repository, where `repo` is only a copy of it' }),
  workspace: workspaceMode
    .optional()
    .meta({ description: 'Default overlay; clone where overlays do not work, which the mission then says' }),
  max_agents: z.int().min(1).max(10_000).default(10),
  timeout: z.number().positive().max(31_536_000).default(3600).meta({ description: 'Seconds' }),
  policies: ownPolicies.optional(),
  policy: policyOverride.optional().meta({ description: 'Changes to the isolation policy of the level' }),
})
export type MissionRequest = z.infer<typeof missionRequest>

/** The commit that every seat of a mission starts from. */
export const baseRef = z.strictObject({
  repo: z.string().nullable().meta({ description: 'As given, without credentials; null for an empty worktree' }),
  repository_key: z.string().nullable().meta({ description: 'Names the trusted mirror' }),
  ref: z.string().nullable(),
  commit: z.string().nullable(),
})
export type BaseRef = z.infer<typeof baseRef>

export const mission = z.strictObject({
  mission_id: missionId,
  mission_name: z.string(),
  status: missionStatus,
  isolation_level: isolationLevel,
  base: baseRef,
  workspace: workspaceMode,
  max_agents: z.int(),
  timeout: z.number(),
  policies: cellPolicies,
  created_at: isoDateTime,
  created_by: z.string(),
  directory: z.string().meta({ description: 'The cell directory on the host' }),
  seats: z.array(seat),
  tasks: z.array(z.never()),
  health: z.strictObject({
    seats: z.int(),
    active: z.int(),
    dead: z.int().meta({ description: 'Ended or died, and nothing brings them back by itself' }),
    reviving: z.int().meta({ description: 'Died and on the way back, or waiting for approval' }),
    quarantined: z.int(),
    failed: z.int(),
  }),
  events: z.int(),
})
export type Mission = z.infer<typeof mission>

export const homesProof = z.strictObject({
  checked: z.int().meta({ description: 'Homes looked at' }),
  entries: z.int(),
  unreadable: z
    .int()
    .meta({ description: 'Directories that the operator itself may not read, so nothing it starts may' }),
  changed: z.array(z.strictObject({ path: z.string(), what: z.string() })),
})
export type HomesProof = z.infer<typeof homesProof>

export const finalSnapshot = z.strictObject({
  agent_id: agentId,
  path: z.string().meta({ description: 'tar.zst of the layer and the in-cell home, in the trash' }),
  bytes: z.int(),
  sha256: z.string(),
  keep_until: isoDateTime,
})
export type FinalSnapshot = z.infer<typeof finalSnapshot>

export const keptCommits = z.strictObject({
  path: z
    .string()
    .meta({ description: 'git bundle in the trash; git fetch reads it in any checkout that has the base' }),
  branches: z
    .array(z.string())
    .meta({ description: 'mission/<agent_id>, each with what was collected of it beyond the base' }),
  bytes: z.int(),
  sha256: z.string(),
  keep_until: isoDateTime,
})
export type KeptCommits = z.infer<typeof keptCommits>

export const released = z.strictObject({ processes: z.int(), containers: z.int(), mounts: z.int() })
export type Released = z.infer<typeof released>

export const destroyReport = z.strictObject({
  mission_id: missionId,
  status: z.literal('destroyed'),
  final_checkpoints: z.array(finalSnapshot),
  collected: keptCommits
    .nullable()
    .meta({ description: 'Where the collected commits are now; null when there were none' }),
  homes: homesProof,
  released,
})
export type DestroyReport = z.infer<typeof destroyReport>

export const withdrawReport = z.strictObject({ seat, final_checkpoint: finalSnapshot.nullable(), released })
export type WithdrawReport = z.infer<typeof withdrawReport>
