import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Check, LevelReport } from '../../contract/host.ts'
import type { EffectiveIsolation, Policy } from '../../contract/policy.ts'
import type { SandboxHandle } from '../../contract/seat.ts'
import { asLazarusError, type LazarusError } from '../../kernel/errors.ts'
import { processFact } from '../../linux/process.ts'
import { userNamespaceChecks } from '../../linux/user-namespaces.ts'
import type { CellDriver, SandboxMount, SandboxSpec } from '../../ports/cell-driver.ts'
import { attackChecks, attackScript, attacksFor } from '../shared/attacks.ts'
import { PROBE_MISSION } from '../shared/probe.ts'
import type { PodmanDeps } from './deps.ts'
import { hostChecks } from './host-checks.ts'
import type { Connection } from './runtime.ts'

const CANARY = 'canary of the probe\n'
const NAME = { mission_id: PROBE_MISSION, agent_id: 'probe', generation: 1 }

type Attack = ReturnType<typeof attacksFor>[number]

/** $3 is the socket of the API, $4 the monitor of the container. */
const OF_THIS_LEVEL: readonly Attack[] = [
  {
    name: 'runtime_socket',
    promise: 'namespaces.mount',
    script: '[ -e "$3" ] || [ -e /run/podman/podman.sock ] || [ -e /var/run/docker.sock ]',
    success: 'the API of the container runtime is in the cell',
  },
  {
    name: 'monitor',
    promise: 'namespaces.pid',
    script: 'kill -0 "$4" || cat "/proc/$4/environ"',
    success: 'the monitor of the container can be signalled or read',
  },
  {
    name: 'mount',
    promise: 'seccomp',
    script: 'mount -t tmpfs none /tmp || umount /tmp',
    success: 'mounts can be changed',
  },
]

/** Those that need the host's own root, or that read what at this level is the cell's own init. */
const OF_OTHER_LEVELS = ['setuid', 'init_environment']

/** Failures to which the overlay has no part. */
const HOPELESS = new Set<string>(['isolation_degraded', 'isolation_unavailable', 'image_unavailable'])

/** What is tried in a container; run outside of one, they succeed. */
export const attacksOfLevel3 = (policy: Policy): readonly Attack[] => [
  ...attacksFor(policy).filter(({ name }) => !OF_OTHER_LEVELS.includes(name)),
  ...OF_THIS_LEVEL,
]

interface Trial {
  readonly effective: EffectiveIsolation | null
  readonly checks: readonly Check[]
  readonly failure: LazarusError | null
}

export async function probePodman(
  deps: PodmanDeps,
  driver: CellDriver,
  connection: Connection,
  abort: AbortSignal,
): Promise<LevelReport> {
  const checks: Check[] = userNamespaceChecks()
  try {
    const { info, cgroups } = await connection.runtime()
    // A socket that was named may belong to the host of the container in which we run.
    checks.push(...hostChecks(info, cgroups, deps.socket === null ? existsSync : null))
  } catch (error) {
    const { message, remedy } = asLazarusError(error)
    return unavailable([...checks, { name: 'podman', ok: false, message, remedy, promise: null }], message, remedy)
  }
  const missing = checks.find(({ name, ok }) => !ok && !name.includes('.'))
  if (missing) return unavailable(checks, missing.message, missing.remedy)
  const overlay = await tryOut(deps, driver, connection, 'overlay', abort)
  const last =
    overlay.failure === null || HOPELESS.has(overlay.failure.code)
      ? overlay
      : await tryOut(deps, driver, connection, 'clone', abort)
  if (last.failure !== null) return unavailable(checks, last.failure.message, last.failure.remedy)
  return verdict(deps, [...checks, ...last.checks, overlayCheck(overlay.failure)], last.effective!)
}

function unavailable(checks: readonly Check[], reason: string, remedy: string | null): LevelReport {
  return { level: 'level_3', status: 'unavailable', reason, remedy, effective: null, checks: [...checks] }
}

const overlayCheck = (failure: LazarusError | null): Check => ({
  name: 'overlay',
  ok: failure === null,
  message: failure === null ? 'a layer over a shared base works' : `no overlay here: ${failure.message}`,
  remedy:
    failure === null ? null : 'Keep the missions path on ext4, xfs or btrfs; until then seats get private clones.',
  promise: 'overlay',
})

function verdict(deps: PodmanDeps, checks: Check[], effective: EffectiveIsolation): LevelReport {
  const { degradable } = deps.policy
  const failing = checks.filter(({ ok, promise }) => !ok && promise !== null)
  const broken = failing.find(({ promise }) => promise !== 'overlay' && !degradable.includes(promise!))
  if (broken) return unavailable(checks, `${broken.name}: ${broken.message}`, broken.remedy)
  const given = [...new Set([...effective.degraded, ...failing.map(({ promise }) => promise!)])]
  return {
    level: 'level_3',
    status: given.length > 0 ? 'degraded' : 'ready',
    reason: given.length > 0 ? `not kept on this host: ${given.join(', ')}` : null,
    remedy: failing[0]?.remedy ?? null,
    effective,
    checks,
  }
}

/** Attacks a throw-away container. One that an earlier probe left is ended first: its mounts would be stale. */
async function tryOut(
  deps: PodmanDeps,
  driver: CellDriver,
  connection: Connection,
  workspace: 'overlay' | 'clone',
  abort: AbortSignal,
): Promise<Trial> {
  const directory = join(deps.root, 'probe')
  const spec = probeSpec(deps, directory, workspace)
  let handle: SandboxHandle = {
    level: 'level_3',
    ...NAME,
    pid: null,
    start_time: null,
    agent_pid: null,
    container_id: null,
    run_dir: spec.run_dir,
  }
  try {
    await driver.destroy(handle)
    layOut(directory)
    const sandbox = await driver.spawn(spec, abort)
    handle = sandbox.handle
    const checks = await attack(deps, driver, connection, { handle, spec }, abort)
    return { effective: sandbox.effective, checks: [...checks, homeCheck(directory)], failure: null }
  } catch (error) {
    return { effective: null, checks: [], failure: asLazarusError(error) }
  } finally {
    await driver
      .destroy(handle)
      .catch((error) => deps.log.error({ error: String(error) }, 'the probe left a container'))
    rmSync(directory, { recursive: true, force: true })
  }
}

async function attack(
  deps: PodmanDeps,
  driver: CellDriver,
  connection: Connection,
  cell: { handle: SandboxHandle; spec: SandboxSpec },
  abort: AbortSignal,
): Promise<Check[]> {
  const attacks = attacksOfLevel3(deps.policy)
  const { service } = await connection.runtime()
  const monitor = processFact(cell.handle.pid ?? 0)?.parent ?? 0
  const home = join(deps.root, 'probe', 'home-of-somebody')
  const command = [
    '/bin/sh',
    '-c',
    attackScript(attacks),
    'probe',
    home,
    String(process.pid),
    service.socket,
    String(monitor),
  ]
  const output: Uint8Array[] = []
  const exec = { command, environment: cell.spec.environment, cwd: '/workspace', stdin: null }
  await driver.exec(cell, exec, (_, data) => void output.push(data), abort)
  return attackChecks(attacks, Buffer.concat(output).toString('utf8'))
}

function homeCheck(directory: string): Check {
  const ok = readFileSync(join(directory, 'home-of-somebody', 'canary'), 'utf8') === CANARY
  const message = ok ? 'the fake home is as before' : 'the fake home was changed'
  return { name: 'home_unchanged', ok, message, remedy: null, promise: 'homes' }
}

function layOut(directory: string): void {
  rmSync(directory, { recursive: true, force: true })
  for (const name of ['base', 'upper', 'work', 'home-of-somebody', 'run']) {
    mkdirSync(join(directory, name), { recursive: true, mode: 0o700 })
  }
  writeFileSync(join(directory, 'home-of-somebody', 'canary'), CANARY)
}

function probeSpec({ policy }: PodmanDeps, directory: string, workspace: 'overlay' | 'clone'): SandboxSpec {
  const at = (name: string) => join(directory, name)
  const target = '/workspace'
  const mount: SandboxMount =
    workspace === 'overlay'
      ? { kind: 'overlay', target, lower: at('base'), upper: at('upper'), work: at('work') }
      : { kind: 'bind', target, source: at('upper'), read_only: false }
  const tmp: SandboxMount = { kind: 'tmpfs', target: '/tmp', bytes: policy.limits.tmp ?? 16 * 1024 ** 2 }
  return {
    name: NAME,
    policy,
    command: null,
    environment: { ...policy.environment, HOME: '/home/agent' },
    mounts: [mount, tmp],
    cwd: target,
    log_path: at('log'),
    run_dir: at('run'),
    hidden_paths: [at('home-of-somebody')],
  }
}
