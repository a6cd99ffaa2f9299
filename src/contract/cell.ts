import { z } from 'zod'
import { agentId, isoDateTime, isolationLevel, missionId, role } from './ids.ts'
import { cellPolicies, mission } from './mission.ts'
import { limits } from './policy.ts'

/** The JSON files of a cell directory. Views of the ledger, written atomically; a hand-made directory may hold them too. */
export const cellFile = z.strictObject({
  cell_id: missionId,
  mission_name: z.string(),
  created_at: isoDateTime,
  created_by: z.string(),
  status: z.enum(['active', 'paused', 'completed', 'failed']),
  isolation_level: isolationLevel,
  max_agents: z.int(),
  timeout: z.number(),
  policies: cellPolicies.pick({ auto_revive: true, handoff_allowed: true, checkpoint_interval: true }),
})
export const metaMissionFile = z.strictObject({ mission_id: missionId, created_at: isoDateTime, status: z.string() })
export const configCellFile = z.strictObject({ worktree: z.string(), artifacts: z.string(), heartbeat: z.string() })
export const configIsolationFile = z.strictObject({
  level: isolationLevel,
  mount_namespaces: z.boolean(),
  network_isolation: z.boolean(),
  resource_limits: limits.pick({ cpu: true, memory: true, disk: true }),
  security_context: z.strictObject({
    no_new_privs: z.boolean(),
    capabilities_dropped: z.boolean(),
    seccomp: z.boolean(),
    user_namespace: z.boolean(),
  }),
})
export const configPoliciesFile = cellPolicies.omit({ checkpoint_interval: true, on_success: true })
export const agentPermissions = z.strictObject({
  read: z.boolean(),
  write: z.boolean(),
  execute: z.array(z.string()),
  handoff_to: z.array(z.string()),
  handoff_from: z.array(z.string()),
})
export const configPermissionsFile = z.record(z.string(), agentPermissions)
export const stateHeartbeatFile = z.strictObject({
  timestamp: isoDateTime,
  status: z.string(),
  seats: z.record(z.string(), z.string()),
})
export const agentFile = z.strictObject({
  agent_id: agentId,
  name: z.string(),
  role,
  capabilities: z.array(z.string()),
  gateway: z.string().nullable(),
  status: z.enum(['idle', 'active', 'paused', 'failed']),
  current_task: z.string().nullable(),
  checkpoint: z.strictObject({
    last_checkpoint: z.string().nullable(),
    context_hash: z.string().nullable(),
    artifacts: z.array(z.string()),
  }),
})

/** Required file (path in the cell directory) → its schema. */
export const CELL_FILES = {
  'cell.json': cellFile,
  'meta/mission.json': metaMissionFile,
  'config/cell.json': configCellFile,
  'config/isolation.json': configIsolationFile,
  'config/policies.json': configPoliciesFile,
  'config/permissions.json': configPermissionsFile,
  'state/heartbeat.json': stateHeartbeatFile,
} as const satisfies Record<string, z.ZodType>
export type CellFileName = keyof typeof CELL_FILES
export type CellFile<Name extends CellFileName> = z.infer<(typeof CELL_FILES)[Name]>
export type AgentFile = z.infer<typeof agentFile>
export type AgentPermissions = z.infer<typeof agentPermissions>

/** Longest explanation of one problem: a hostile file must not fill the report. */
const MAX_PROBLEM = 300

/** A file of a cell directory as its schema has it, or why it is none. */
export function parseCellFile<Name extends CellFileName>(
  name: Name,
  text: string,
): { readonly value: CellFile<Name> } | { readonly problem: string } {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return { problem: `${name} is no JSON` }
  }
  const parsed = CELL_FILES[name].safeParse(json)
  if (parsed.success) return { value: parsed.data as CellFile<Name> }
  return {
    problem: `${name} does not parse: ${z.prettifyError(parsed.error).replace(/\s+/g, ' ')}`.slice(0, MAX_PROBLEM),
  }
}

export const CELL_FOLDERS = [
  'meta',
  'config',
  'state',
  'agents',
  'tasks',
  'checkpoints',
  'logs',
  'artifacts',
  'worktree',
] as const

/** `record.json`: what remains of an archived mission, checkable without the pit. */
export const recordFile = z.strictObject({
  recorded_at: isoDateTime,
  mission,
  log: z.strictObject({
    events: z.int(),
    bytes: z.int().meta({ description: 'The hash covers so many bytes of logs/mission.log; later events follow them' }),
    sha256: z.string(),
  }),
  files: z
    .array(z.strictObject({ path: z.string(), bytes: z.int(), sha256: z.string() }))
    .meta({ description: 'Below config, logs and artifacts, at most 10,000' }),
  files_omitted: z.int().meta({ description: 'Beyond the bound, not readable, or no regular file' }),
})
export type RecordFile = z.infer<typeof recordFile>

export const cellHealth = z.enum(['healthy', 'stale', 'incomplete', 'uninitialized'])
export type CellHealth = z.infer<typeof cellHealth>

export const scanReport = z.strictObject({
  missions_path: z.string(),
  scanned_at: isoDateTime,
  summary: z.strictObject({
    total: z.int(),
    healthy: z.int(),
    stale: z.int(),
    incomplete: z.int(),
    uninitialized: z.int(),
  }),
  cells: z.array(
    z.strictObject({
      cell_id: z.string(),
      path: z.string(),
      health: cellHealth,
      problems: z.array(z.string()).meta({ description: 'What is missing, does not parse, or is too old' }),
      status: z.string().nullable(),
      heartbeat_age_s: z.number().nullable(),
      known: z.boolean().meta({ description: 'Whether the ledger of this pit knows the mission' }),
    }),
  ),
})
export type ScanReport = z.infer<typeof scanReport>
