import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Check, LevelReport } from '../../contract/host.ts'
import type { EffectiveIsolation } from '../../contract/policy.ts'
import { asLazarusError, type LazarusError } from '../../kernel/errors.ts'
import { SYSTEM_PATH } from '../../linux/hull.ts'
import { userNamespaceChecks } from '../../linux/user-namespaces.ts'
import type { CellDriver, SandboxMount, SandboxSpec } from '../../ports/cell-driver.ts'
import { attackChecks, attackScript, attacksFor } from './attacks.ts'
import type { Workshop } from './workshop.ts'

/** No mission has it; `list` leaves it out. */
export const PROBE_MISSION = '00000000-0000-4000-8000-000000000000'
const CANARY = 'canary of the probe\n'

interface Trial {
  readonly effective: EffectiveIsolation | null
  readonly checks: readonly Check[]
  readonly failure: LazarusError | null
}

/** Attacks a throw-away sandbox. What fails with a promise degrades or refuses the level; without one, it only informs. */
export async function probeLevel(driver: CellDriver, shop: Workshop, abort: AbortSignal): Promise<LevelReport> {
  const before = [...userNamespaceChecks(), perlCheck(), ...(await shop.inner.checks())]
  const missing = before.find(({ name, ok }) => !ok && !name.includes('.'))
  if (missing) return unavailable(driver, before, missing.message, missing.remedy)
  const overlay = await trial(driver, shop, 'overlay', abort)
  const last = overlay.failure === null ? overlay : await trial(driver, shop, 'clone', abort)
  if (last.failure !== null) return unavailable(driver, before, last.failure.message, remedyOf(before, last.failure))
  return judgeTrial(driver, [...before, ...last.checks, overlayCheck(overlay.failure)], last.effective!, shop)
}

/** What makes hulls. */
function perlCheck(): Check {
  const ok = SYSTEM_PATH.split(':').some((directory) => existsSync(join(directory, 'perl')))
  const message = ok ? 'Perl is there' : 'perl was not found'
  return { name: 'perl', ok, message, remedy: ok ? null : 'Install Perl: apt install perl-base', promise: null }
}

const remedyOf = (before: readonly Check[], failure: LazarusError): string =>
  before.find(({ ok }) => !ok)?.remedy ?? failure.remedy

const unavailable = (
  driver: CellDriver,
  checks: readonly Check[],
  reason: string,
  remedy: string | null,
): LevelReport => ({
  level: driver.level,
  status: 'unavailable',
  reason,
  remedy,
  effective: null,
  checks: [...checks],
})

const overlayCheck = (failure: LazarusError | null): Check => ({
  name: 'overlay',
  ok: failure === null,
  message: failure === null ? 'a layer over a shared base works' : `no overlay here: ${failure.message}`,
  remedy:
    failure === null
      ? null
      : 'Keep the missions path on ext4, xfs or btrfs, with Linux 5.11 or newer; until then seats get private clones.',
  promise: 'overlay',
})

function judgeTrial(driver: CellDriver, checks: Check[], effective: EffectiveIsolation, shop: Workshop): LevelReport {
  const { degradable } = shop.deps.policy
  const broken = checks.find(
    ({ ok, promise }) => !ok && promise !== null && promise !== 'overlay' && !degradable.includes(promise),
  )
  if (broken) return unavailable(driver, checks, `${broken.name}: ${broken.message}`, broken.remedy)
  const given = [
    ...effective.degraded,
    ...checks.flatMap(({ ok, promise }) => (!ok && promise !== null ? [promise] : [])),
  ]
  const degraded = given.length > 0
  return {
    level: driver.level,
    status: degraded ? 'degraded' : 'ready',
    reason: degraded ? `not kept on this host: ${[...new Set(given)].join(', ')}` : null,
    remedy: degraded ? remedyFor(given) : null,
    effective,
    checks,
  }
}

const remedyFor = (given: readonly string[]): string =>
  given.some((name) => name.startsWith('limits.'))
    ? 'Start the pit where cgroup v2 controllers are delegated: as a systemd user unit, or through bin/as-operator on a host with unified cgroups.'
    : 'lazarus doctor lists each check with its remedy.'

async function trial(
  driver: CellDriver,
  shop: Workshop,
  workspace: 'overlay' | 'clone',
  abort: AbortSignal,
): Promise<Trial> {
  const directory = join(shop.deps.root, 'probe')
  let handle = null
  try {
    const spec = layOut(shop, directory, workspace)
    const sandbox = await driver.spawn(spec, abort)
    handle = sandbox.handle
    const attacks = attacksFor(spec.policy)
    const home = join(directory, 'home-of-somebody')
    const command = ['/bin/sh', '-c', attackScript(attacks), 'probe', home, String(process.pid)]
    const output: Uint8Array[] = []
    const exec = { command, environment: spec.environment, cwd: '/workspace', stdin: null }
    await driver.exec({ handle, spec }, exec, (_, data) => void output.push(data), abort)
    const checks = attackChecks(attacks, Buffer.concat(output).toString('utf8'))
    return { effective: sandbox.effective, checks: [...checks, homeCheck(home)], failure: null }
  } catch (error) {
    return { effective: null, checks: [], failure: asLazarusError(error) }
  } finally {
    if (handle !== null) await driver.destroy(handle).catch(() => {})
    remove(directory)
  }
}

/** The kernel leaves a directory without permissions in an overlay's work directory. */
function remove(directory: string): void {
  const inner = join(directory, 'work', 'work')
  if (existsSync(inner)) chmodSync(inner, 0o700)
  rmSync(directory, { recursive: true, force: true })
}

function homeCheck(home: string): Check {
  const ok = readFileSync(join(home, 'canary'), 'utf8') === CANARY
  return {
    name: 'home_unchanged',
    ok,
    message: ok ? 'the fake home is as before' : 'the fake home was changed',
    remedy: null,
    promise: 'homes',
  }
}

function layOut(shop: Workshop, directory: string, workspace: 'overlay' | 'clone'): SandboxSpec {
  remove(directory)
  for (const name of ['base', 'upper', 'work', 'home-of-somebody', 'run'])
    mkdirSync(join(directory, name), { recursive: true, mode: 0o700 })
  writeFileSync(join(directory, 'home-of-somebody', 'canary'), CANARY)
  const at = (name: string) => join(directory, name)
  const target = '/workspace'
  const mount: SandboxMount =
    workspace === 'overlay'
      ? { kind: 'overlay', target, lower: at('base'), upper: at('upper'), work: at('work') }
      : { kind: 'bind', target, source: at('upper'), read_only: false }
  return {
    name: { mission_id: PROBE_MISSION, agent_id: 'probe', generation: 1 },
    policy: shop.deps.policy,
    command: null,
    environment: { ...shop.deps.policy.environment, HOME: '/home/agent' },
    mounts: [mount],
    cwd: target,
    log_path: at('log'),
    run_dir: at('run'),
    hidden_paths: [at('home-of-somebody')],
  }
}
