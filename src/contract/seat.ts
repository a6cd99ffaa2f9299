import { z } from 'zod'
import { agentId, isoDateTime, isolationLevel, missionId, role } from './ids.ts'
import { declaredIsolation, effectiveIsolation, limits, networkMode } from './policy.ts'

/** One argument: no NUL, and together bounded by the body limit. */
export const command = z
  .array(
    z
      .string()
      .max(131_072)
      .refine((s) => !s.includes('\0'), 'no NUL byte'),
  )
  .min(1)
  .max(1024)
  .refine((argv) => argv[0] !== '', 'the first word names the program')

export const environment = z
  .record(
    z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/),
    z
      .string()
      .max(32_768)
      .refine((s) => !s.includes('\0'), 'no NUL byte'),
  )
  .refine((env) => !Object.keys(env).some((name) => name.startsWith('LAZARUS_')), 'LAZARUS_ names are set by the pit')

export const seatRequest = z.strictObject({
  agent_id: agentId,
  role: role.default('write'),
  command: command.optional().meta({ description: 'The agent. Without it the seat stays open for exec' }),
  resume_command: command.optional(),
  env: environment.optional(),
  network: networkMode.optional(),
  limits: limits.optional(),
  heartbeat_interval: z
    .number()
    .positive()
    .max(86_400)
    .optional()
    .meta({ description: 'Seconds between the heartbeats that the agent promises; default: poll_interval' }),
})
export type SeatRequest = z.infer<typeof seatRequest>

export const exitCause = z.enum(['exit', 'signal', 'oom', 'limit', 'hung', 'runtime_gone', 'host_restart'])
export type ExitCause = z.infer<typeof exitCause>

export const exitFact = z.strictObject({
  cause: exitCause,
  code: z.int().nullable(),
  signal: z.string().nullable(),
  died_at: isoDateTime,
  noticed_at: isoDateTime,
  noticed_by: z.string(),
})
export type ExitFact = z.infer<typeof exitFact>

/** Enough to find, judge and end a sandbox after a restart. A pid without its start time proves nothing. */
export const sandboxHandle = z.strictObject({
  level: isolationLevel,
  mission_id: missionId,
  agent_id: agentId,
  generation: z.int().positive(),
  pid: z.int().nullable().meta({ description: 'Host pid of the process whose end ends the sandbox' }),
  start_time: z.string().nullable().meta({ description: 'Field 22 of /proc/<pid>/stat, in ticks, with the boot id' }),
  agent_pid: z.int().nullable().meta({ description: 'Host pid of the agent itself' }),
  container_id: z.string().nullable(),
  run_dir: z.string().meta({ description: 'Where the sandbox keeps its records on the host' }),
})
export type SandboxHandle = z.infer<typeof sandboxHandle>

export const seatStatus = z.enum([
  'requested',
  'spawning',
  'active',
  'paused',
  'dead',
  'awaiting_approval',
  'reviving',
  'quarantined',
  'released',
  'failed',
  'withdrawing',
  'withdrawn',
])
export type SeatStatus = z.infer<typeof seatStatus>

export const workOutcome = z.enum(['delivered', 'no_change', 'uncommitted'])
export type WorkOutcome = z.infer<typeof workOutcome>

export const seat = z.strictObject({
  mission_id: missionId,
  agent_id: agentId,
  role,
  status: seatStatus,
  generation: z.int().nonnegative(),
  command: command.nullable(),
  isolation: z.strictObject({
    level: isolationLevel,
    declared: declaredIsolation,
    effective: effectiveIsolation.nullable().meta({ description: 'null until the sandbox was measured' }),
  }),
  branch: z.string().nullable().meta({ description: 'mission/<agent_id>; null for audit' }),
  requested_at: isoDateTime,
  spawned_at: isoDateTime.nullable(),
  exit: exitFact.nullable(),
  resumed_from: z
    .string()
    .nullable()
    .meta({ description: 'live, or the checkpoint that this generation came from; null for the first' }),
  quarantine: z.string().nullable().meta({ description: 'Why no more revival is tried' }),
  collected: z.strictObject({ head: z.string(), outcome: workOutcome, at: isoDateTime }).nullable(),
  error: z.strictObject({ code: z.string(), message: z.string() }).nullable(),
})
export type Seat = z.infer<typeof seat>

export const spawnedSeat = seat.extend({
  token: z.string().meta({ description: 'Shown once; dies with the seat or the generation' }),
  spawn_ms: z.number(),
})
export type SpawnedSeat = z.infer<typeof spawnedSeat>

export const revivedSeat = seat.extend({
  token: z.string().meta({ description: 'Of the new generation, shown once; the old one is refused' }),
  revive_ms: z.number(),
})
export type RevivedSeat = z.infer<typeof revivedSeat>

export const execRequest = z.strictObject({
  command,
  env: environment.optional(),
  stdin: z.string().optional().meta({ description: 'Text given to the command, then end of file' }),
  timeout: z
    .number()
    .positive()
    .max(86_400)
    .optional()
    .meta({ description: 'Seconds; the command is killed after it. Default 600' }),
  cwd: z
    .string()
    .startsWith('/')
    .max(4096)
    .refine((s) => !s.includes('\0'), 'no NUL byte')
    .optional()
    .meta({ description: 'Default /workspace' }),
})
export type ExecRequest = z.infer<typeof execRequest>

export const execResult = z.strictObject({
  exit_code: z.int().nullable().meta({
    description: '128 + n after signal n; 127 when the command does not exist; null when the sandbox went away',
  }),
  signal: z.string().nullable().meta({ description: 'Name of the signal, for exit codes 129 to 192' }),
  stdout: z.string(),
  stderr: z.string(),
  truncated: z.boolean(),
  timed_out: z.boolean(),
  duration_ms: z.number(),
})
export type ExecResult = z.infer<typeof execResult>

export const execFrame = z.union([
  z.strictObject({ stream: z.enum(['stdout', 'stderr']), data: z.string() }),
  z.strictObject({
    exit_code: z.int().nullable(),
    signal: z.string().nullable(),
    timed_out: z.boolean(),
    duration_ms: z.number(),
  }),
])
export type ExecFrame = z.infer<typeof execFrame>

/** What a seat occupies on the host, measured through the airlock. */
export const layerUsage = z.strictObject({
  bytes: z.int().meta({ description: 'Allocated bytes of the layer and the in-cell home' }),
  entries: z.int(),
  limit: z.int().nullable().meta({ description: 'limits.disk of the seat, in bytes' }),
})
export type LayerUsage = z.infer<typeof layerUsage>

export const killRequest = z.strictObject({
  signal: z
    .enum(['SIGTERM', 'SIGKILL', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGSTOP', 'SIGCONT'])
    .default('SIGKILL'),
})

export const commit = z.strictObject({ id: z.string(), subject: z.string(), author: z.string() })

export const collection = z.strictObject({
  branch: z.string(),
  base: z.string().nullable().meta({ description: 'null when the worktree started empty' }),
  head: z.string().nullable(),
  commits: z.array(commit),
  outcome: workOutcome,
  uncommitted: z.array(z.string()).meta({ description: 'Paths with changes that no commit holds, at most 1,000' }),
  diffstat: z.strictObject({ files: z.int(), insertions: z.int(), deletions: z.int() }),
  repository: z.string().meta({ description: 'The trusted repository on the host, to fetch refs/heads/<branch> from' }),
})
export type Collection = z.infer<typeof collection>
