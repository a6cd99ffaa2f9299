import { readdirSync, readFileSync } from 'node:fs'
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { IsolationLevel } from '../../../src/contract/ids.ts'
import type { Policy } from '../../../src/contract/policy.ts'
import { createBwrapDriver } from '../../../src/drivers/bwrap/bwrap-driver.ts'
import { DESTROY_STEPS } from '../../../src/drivers/shared/end.ts'
import { EXEC_STEPS } from '../../../src/drivers/shared/exec.ts'
import { SPAWN_STEPS } from '../../../src/drivers/shared/start.ts'
import type { HullDriverDeps } from '../../../src/drivers/shared/workshop.ts'
import { createUnshareDriver } from '../../../src/drivers/unshare/unshare-driver.ts'
import { silentLog } from '../../../src/kernel/log.ts'
import { cgroupFacts, openCgroups } from '../../../src/linux/cgroup.ts'
import { allPids } from '../../../src/linux/process.ts'
import type { CellDriver } from '../../../src/ports/cell-driver.ts'
import { makeSpecs } from '../../conformance/cell-driver/specs.ts'
import type { DriverHarness, DriverSubject } from '../../conformance/cell-driver.ts'
import { policyOf } from '../../support/policies.ts'
import { ROOT } from '../../support/source-tree.ts'

const MAKERS: Partial<Record<IsolationLevel, (deps: HullDriverDeps) => CellDriver>> = {
  level_1: createUnshareDriver,
  level_2: createBwrapDriver,
}

const delegated = cgroupFacts().delegated

/** The level's own policy, small enough for a test machine, without limits that this host cannot keep. */
export function keptPolicy(level: IsolationLevel): Policy {
  const shipped = policyOf(level)
  const { cpu, memory, ...limits } = shipped.limits
  const kept = { ...(delegated.includes('cpu') && { cpu }), ...(delegated.includes('memory') && { memory }) }
  return { ...shipped, limits: { ...limits, ...kept } as Policy['limits'] }
}

export interface HullHarness extends DriverHarness {
  readonly root: string
  readonly deps: HullDriverDeps
}

/** A real driver below a directory of its own; not in /tmp, which may be a tmpfs where no overlay upper can lie. */
export async function openHarness(level: 'level_1' | 'level_2'): Promise<HullHarness> {
  const root = await mkdtemp(join('/var/tmp', `lazarus-${level}-`))
  const specs = await makeSpecs(root, keptPolicy(level))
  let failing: string | null = null
  const deps: HullDriverDeps = {
    root: join(root, 'driver'),
    policies_dir: join(ROOT, 'policies'),
    policy: policyOf(level),
    cgroups: openCgroups(),
    clock: { now: () => Date.now(), monotonic: () => performance.now() },
    log: silentLog,
    faults: (step) => {
      if (step === failing) throw Object.assign(new Error(`EFAULT: injected into ${step}`), { code: 'EFAULT' })
    },
  }
  let driver = MAKERS[level]!(deps)
  return {
    root,
    deps,
    get driver() {
      return driver
    },
    async restart() {
      driver = MAKERS[level]!(deps)
      return driver
    },
    spec: (change) => specs.make(change),
    failAt: (step) => {
      failing = step
    },
    async leftovers() {
      await driver.list() // What is on its way out has gone then.
      return [...processesOf(root), ...(await recordsOf(root))]
    },
    async [Symbol.asyncDispose]() {
      await specs[Symbol.asyncDispose]()
      await removeTree(root)
    },
  }
}

/** Processes that were started with a path of this harness, or that live in a mount namespace which shows one. */
function processesOf(root: string): string[] {
  return allPids().flatMap((pid) => {
    if (pid === process.pid) return []
    const [command, mounts] = [read(`/proc/${pid}/cmdline`), read(`/proc/${pid}/mountinfo`)]
    const ours = command.includes(root) || mounts.includes(root)
    return ours ? [`process ${pid}: ${command.replaceAll('\0', ' ').slice(-200)}`] : []
  })
}

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

async function recordsOf(root: string): Promise<string[]> {
  const driver = ['sandboxes', 'exits'].flatMap((name) =>
    readdirSync(join(root, 'driver', name)).map((file) => `${name}/${file}`),
  )
  const seats = (await readdir(root)).filter((name) => /^[0-9a-f-]{36}$/.test(name))
  const runs = seats.flatMap((seat) => readdirSync(join(root, seat, 'run')).map((name) => `${seat}/run/${name}`))
  return [...driver, ...runs]
}

/** The kernel leaves `work/work` of an overlay without permissions. */
export async function removeTree(root: string): Promise<void> {
  const layers = (await readdir(root, { recursive: false })).map((name) => join(root, name, 'work', 'work'))
  for (const layer of layers) await chmod(layer, 0o700).catch(() => {})
  await rm(root, { recursive: true, force: true })
}

export const hullSubject = (level: 'level_1' | 'level_2'): DriverSubject => ({
  can: {
    processes: true,
    isolation: true,
    freeze: true,
    unkept: delegated.includes('memory') ? null : 'limits.memory',
    steps: { spawn: SPAWN_STEPS, exec: EXEC_STEPS, destroy: DESTROY_STEPS },
  },
  open: () => openHarness(level),
})
