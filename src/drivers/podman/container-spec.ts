import { createHash } from 'node:crypto'
import type { ContainerCreateOptions } from 'dockerode'
import type { SandboxName } from '../../contract/ids.ts'
import { LazarusError } from '../../kernel/errors.ts'
import type { SandboxMount, SandboxSpec } from '../../ports/cell-driver.ts'
import type { CgroupFacts } from './cgroups.ts'
import type { Image } from './images.ts'
import { environmentLines, launchArguments, toDrop } from './launch.ts'
import { overlayWorkOf } from './record.ts'

export const LABELS = {
  state: 'lazarus.state',
  mission: 'lazarus.mission',
  agent: 'lazarus.agent',
  generation: 'lazarus.generation',
  runDir: 'lazarus.run-dir',
  work: 'lazarus.overlay-work',
} as const

/** The agent is 1000:1000 inside and the operator outside: what it writes belongs to the operator. */
const USER = '1000:1000'
const USER_NAMESPACE = 'keep-id:uid=1000,gid=1000'
const MEGABYTE = 1024 ** 2

/** Derived, so that a repeated spawn finds the first one; bounded, because Podman makes host names and paths of it. */
export function containerName(name: SandboxName, stateKey: string): string {
  const agent = name.agent_id.length <= 32 ? name.agent_id : `${name.agent_id.slice(0, 23)}-${short(name.agent_id)}`
  return `lazarus-${stateKey.slice(0, 8)}-${name.mission_id}-${agent}-g${name.generation}`
}

const short = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8)

export interface ContainerContext {
  readonly stateKey: string
  readonly image: Image
  readonly seccompPath: string | null
  readonly cgroups: CgroupFacts
}

/** The body of POST /containers/create for a sandbox. Pure; throws invalid_request for paths that Binds cannot carry. */
export function containerSpec(spec: SandboxSpec, context: ContainerContext): ContainerCreateOptions {
  const { policy } = spec
  const [shell, ...launch] = launchArguments({
    command: spec.command ?? ['sleep', 'infinity'],
    cwd: spec.cwd,
    limits: policy.limits,
    memory_by_cgroup: context.cgroups.controllers.includes('memory'),
    drop: toDrop(context.image.environment, spec.environment),
    gate: true,
    mark: null,
  })
  return {
    name: containerName(spec.name, context.stateKey),
    Image: context.image.id,
    // Both, and no health check: the image's own would run instead or beside.
    Entrypoint: [shell!],
    Cmd: launch,
    ...(context.image.health_check ? { Healthcheck: { Test: ['NONE'] } } : {}),
    Env: environmentLines(spec.environment),
    User: USER,
    WorkingDir: '/',
    Hostname: 'cell',
    Labels: labels(spec, context.stateKey),
    HostConfig: hostConfig(spec, context),
  }
}

function labels(spec: SandboxSpec, stateKey: string): Record<string, string> {
  const work = overlayWorkOf(spec)
  return {
    [LABELS.state]: stateKey,
    [LABELS.mission]: spec.name.mission_id,
    [LABELS.agent]: spec.name.agent_id,
    [LABELS.generation]: String(spec.name.generation),
    [LABELS.runDir]: spec.run_dir,
    ...(work ? { [LABELS.work]: work } : {}),
  }
}

function hostConfig(spec: SandboxSpec, context: ContainerContext): NonNullable<ContainerCreateOptions['HostConfig']> {
  const { policy } = spec
  return {
    UsernsMode: USER_NAMESPACE,
    GroupAdd: ['1000'],
    CapDrop: ['ALL'],
    SecurityOpt: ['no-new-privileges', ...(context.seccompPath ? [`seccomp=${context.seccompPath}`] : [])],
    ReadonlyRootfs: true,
    Init: true,
    NetworkMode: policy.network === 'host' ? 'host' : 'none',
    IpcMode: 'private',
    PidMode: 'private',
    CgroupnsMode: 'private',
    Binds: spec.mounts.flatMap(bindOf),
    Tmpfs: { ...BOUNDED, ...volumesOf(spec, context.image), ...Object.fromEntries(spec.mounts.flatMap(tmpfsOf)) },
    LogConfig: { Type: 'k8s-file', Config: { path: spec.log_path, 'max-size': String(logBytes(spec)) } },
    ...cgroupLimits(spec, context.cgroups),
  } as NonNullable<ContainerCreateOptions['HostConfig']>
}

/** A read-only root gets these from Podman without a size; /dev/shm is 64 MB by itself. */
const BOUNDED = {
  '/run': `size=${MEGABYTE},mode=755,nosuid,nodev`,
  '/var/tmp': `size=${64 * MEGABYTE},mode=1777,nosuid,nodev`,
}

/** A volume of the image would be unbounded on the host's disk: it gets memory instead, lost at the end. */
const volumesOf = (spec: SandboxSpec, image: Image): Record<string, string> =>
  Object.fromEntries(
    image.volumes
      .filter((path) => !spec.mounts.some((mount) => mount.target === path))
      .map((path) => [path, `size=${64 * MEGABYTE},mode=1777,nosuid,nodev`]),
  )

/** conmon keeps one file and starts it anew at this size: as many bytes as the policy gives to all files together. */
const logBytes = (spec: SandboxSpec): number => spec.policy.log.max_bytes * spec.policy.log.files

/** Only what a delegated controller can enforce: Podman keeps others in its record and enforces nothing, or fails. */
function cgroupLimits({ policy }: SandboxSpec, cgroups: CgroupFacts) {
  const { cpu, memory, pids } = policy.limits
  const has = (controller: string) => cgroups.controllers.includes(controller)
  return {
    ...(cgroups.parent ? { CgroupParent: cgroups.parent } : {}),
    ...(cpu && has('cpu') ? { NanoCpus: Math.round(cpu * 1e9) } : {}),
    ...(memory && has('memory') ? { Memory: memory, MemorySwap: memory } : {}),
    ...(pids && has('pids') ? { PidsLimit: pids } : {}),
  }
}

function bindOf(mount: SandboxMount): string[] {
  switch (mount.kind) {
    case 'tmpfs':
      return []
    case 'bind':
      return [`${plain(mount.source)}:${plain(mount.target)}:${mount.read_only ? 'ro' : 'rw'},nosuid,nodev`]
    case 'overlay':
      return [
        `${plain(mount.lower)}:${plain(mount.target)}:O,upperdir=${plain(mount.upper)},workdir=${plain(mount.work)}`,
      ]
  }
}

const tmpfsOf = (mount: SandboxMount): [string, string][] =>
  mount.kind === 'tmpfs' ? [[mount.target, `size=${mount.bytes},mode=1777,nosuid,nodev`]] : []

/** A ':' or ',' would end the path early and mount something else. */
function plain(path: string): string {
  if (!/[:,\\\n]/.test(path) && path.startsWith('/')) return path
  throw new LazarusError(
    'invalid_request',
    `Podman cannot mount ${JSON.stringify(path)}: it takes absolute paths without ":", "," and "\\"`,
    {
      remedy:
        'Move the state directory and the missions path to a place without these characters, or choose level 1 or 2.',
    },
  )
}
