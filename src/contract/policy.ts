import { z } from 'zod'
import { isolationLevel } from './ids.ts'

export const namespaceKind = z.enum(['user', 'mount', 'pid', 'ipc', 'uts', 'network', 'cgroup'])
export type NamespaceKind = z.infer<typeof namespaceKind>

export const networkMode = z.enum(['none', 'allowlist', 'host'])
export type NetworkMode = z.infer<typeof networkMode>

/** Limits of one seat. Bytes, counts, cores. A missing one is not limited. */
export const limits = z.strictObject({
  cpu: z.number().positive().max(1024).optional().meta({ description: 'Cores, for example 1.5' }),
  memory: z
    .int()
    .min(16 * 1024 ** 2)
    .optional()
    .meta({ description: 'Bytes' }),
  pids: z.int().min(4).max(4_194_304).optional().meta({ description: 'Processes and threads' }),
  disk: z
    .int()
    .min(1024 ** 2)
    .optional()
    .meta({
      description:
        'Bytes that layer and in-cell home hold in all: the pit measures, and ends a seat that is over, soon but not at once. No single file grows beyond it at all',
    }),
  tmp: z
    .int()
    .min(64 * 1024)
    .optional()
    .meta({ description: 'Bytes in /tmp' }),
  nofile: z.int().min(16).max(1_048_576).optional().meta({ description: 'Open files per process' }),
})
export type Limits = z.infer<typeof limits>
export type LimitName = keyof Limits

/** A promise by name, as shortfalls and `degradable` spell it: `limits.memory`, `namespaces.network`, `seccomp`, … */
export const promiseName = z.enum([
  'namespaces.user',
  'namespaces.mount',
  'namespaces.pid',
  'namespaces.ipc',
  'namespaces.uts',
  'namespaces.network',
  'namespaces.cgroup',
  'no_new_privs',
  'capabilities',
  'seccomp',
  'nested_user_namespaces',
  'homes',
  'distinct_host_uid',
  'overlay',
  'limits.cpu',
  'limits.memory',
  'limits.pids',
  'limits.disk',
  'limits.tmp',
  'limits.nofile',
])
export type PromiseName = z.infer<typeof promiseName>

/** `policies/level-*.json`: what a level declares. Everything in it is measured or the spawn fails. */
export const policy = z.strictObject({
  $schema: z.string().optional(),
  name: z.string().min(1).max(64),
  level: isolationLevel,
  description: z.string(),
  root: z
    .enum(['host', 'minimal', 'image'])
    .meta({ description: 'host: the host read-only with masks; minimal: only read_only_paths; image' }),
  read_only_paths: z
    .array(z.string().startsWith('/'))
    .meta({ description: 'Host paths shown read-only (root: minimal); missing ones are left out' }),
  masks: z
    .array(z.string().startsWith('/'))
    .meta({ description: 'Host paths covered by an empty tmpfs (root: host), beside every home' }),
  namespaces: z.array(namespaceKind),
  no_new_privs: z.boolean(),
  drop_capabilities: z.boolean(),
  seccomp: z
    .string()
    .regex(/^[a-z0-9-]+\.json$/)
    .nullable()
    .meta({ description: 'File beside this one, or null' }),
  nested_user_namespaces: z.boolean().meta({ description: 'Whether the cell may make user namespaces of its own' }),
  distinct_host_uid: z.boolean(),
  network: networkMode,
  environment: z.record(z.string().regex(/^[A-Z][A-Z0-9_]*$/), z.string()),
  limits,
  log: z.strictObject({ max_bytes: z.int().min(4096), files: z.int().min(1).max(100) }),
  image: z
    .string()
    .nullable()
    .meta({ description: 'Level 3: image name, or null for the cell image built by bin/setup' }),
  containerfile: z
    .string()
    .startsWith('/')
    .nullable()
    .meta({ description: 'Level 3: Containerfile to build the image from' }),
  degradable: z
    .array(promiseName)
    .meta({ description: 'Promises that this policy gives up when the host cannot keep them' }),
})
export type Policy = z.infer<typeof policy>

/** What a mission may change of its level's policy. */
export const policyOverride = z.strictObject({
  network: networkMode.optional(),
  limits: limits.optional(),
  degradable: z.array(promiseName).optional(),
  image: z.string().min(1).max(512).optional(),
  containerfile: z.string().startsWith('/').max(4096).optional(),
})
export type PolicyOverride = z.infer<typeof policyOverride>

export const limitFact = z.strictObject({
  value: z.number().nullable(),
  enforced_by: z.enum(['cgroup', 'rlimit', 'tmpfs', 'accounting', 'none']),
})
export type LimitFact = z.infer<typeof limitFact>

/** What was declared: the promises of the policy, flat. */
export const declaredIsolation = z.strictObject({
  namespaces: z.array(namespaceKind),
  no_new_privs: z.boolean(),
  capabilities_dropped: z.boolean(),
  seccomp: z.boolean(),
  nested_user_namespaces: z.boolean(),
  distinct_host_uid: z.boolean(),
  network: networkMode,
  limits,
})
export type DeclaredIsolation = z.infer<typeof declaredIsolation>

/** What the kernel says of the started sandbox. */
export const effectiveIsolation = z.strictObject({
  namespaces: z.array(namespaceKind).meta({ description: "Those that differ from the pit's own" }),
  no_new_privs: z.boolean(),
  capabilities: z
    .array(z.string())
    .meta({ description: 'Effective, permitted, inheritable, ambient or bounding ones left; empty is best' }),
  seccomp: z.boolean(),
  nested_user_namespaces: z.boolean(),
  distinct_host_uid: z.boolean(),
  network: networkMode,
  workspace: z.enum(['overlay', 'clone', 'read_only', 'none']),
  limits: z.partialRecord(z.enum(['cpu', 'memory', 'pids', 'disk', 'tmp', 'nofile']), limitFact),
  degraded: z.array(promiseName).meta({ description: 'Promises not kept, each allowed by the policy' }),
})
export type EffectiveIsolation = z.infer<typeof effectiveIsolation>
