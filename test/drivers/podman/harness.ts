import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Policy, policy as policySchema } from '../../../src/contract/policy.ts'
import { PODMAN_STEPS, type PodmanDeps } from '../../../src/drivers/podman/deps.ts'
import { createPodmanDriver, type PodmanDriver } from '../../../src/drivers/podman/driver.ts'
import { readCellTag } from '../../../src/drivers/podman/images.ts'
import { silentLog } from '../../../src/kernel/log.ts'
import { makeSpecs } from '../../conformance/cell-driver/specs.ts'
import type { DriverHarness, DriverSubject } from '../../conformance/cell-driver.ts'

const PACKAGE = join(import.meta.dirname, '..', '..', '..')

export const clock = { now: () => Date.now(), monotonic: () => performance.now() }

export async function levelPolicy(): Promise<Policy> {
  const policy = policySchema.parse(JSON.parse(await readFile(join(PACKAGE, 'policies', 'level-3.json'), 'utf8')))
  return { ...policy, limits: { pids: 256, nofile: 512, disk: 512 * 1024 ** 2, tmp: 4 * 1024 ** 2 } }
}

/** A driver with a state directory of its own, below /var/tmp because an overlay layer needs a real file system. */
export async function podmanDeps(change: Partial<PodmanDeps> = {}): Promise<PodmanDeps> {
  const root = await mkdtemp('/var/tmp/lazarus-podman-')
  await mkdir(join(root, 'records'), { mode: 0o700 })
  const { PATH, HOME, XDG_RUNTIME_DIR } = process.env as Record<string, string>
  return {
    root,
    stateKey: randomUUID().replaceAll('-', ''),
    socket: null,
    runtimeDir: await mkdtemp(join(XDG_RUNTIME_DIR!, 'lptest-')),
    policy: await levelPolicy(),
    environment: { PATH: PATH!, HOME: HOME!, XDG_RUNTIME_DIR: XDG_RUNTIME_DIR! },
    clock,
    log: silentLog,
    cellTag: () => readCellTag(join(PACKAGE, 'images', 'cell', 'tag')),
    policiesDir: join(PACKAGE, 'policies'),
    ...change,
  }
}

export interface PodmanHarness extends DriverHarness {
  readonly deps: PodmanDeps
  readonly driver: PodmanDriver
}

export async function openHarness(policy?: Policy, change: Partial<PodmanDeps> = {}): Promise<PodmanHarness> {
  let failing: string | null = null
  const faults = (step: string) => {
    if (step === failing) throw Object.assign(new Error(`injected into ${step}`), { code: 'EFAULT' })
  }
  const deps = await podmanDeps({ faults, ...change })
  const specs = await makeSpecs(deps.root, policy ?? (await levelPolicy()))
  let driver = createPodmanDriver(deps)
  return {
    deps,
    get driver() {
      return driver
    },
    async restart() {
      // As after kill -9 of the pit: nothing is closed, the API service is found again.
      driver = createPodmanDriver(deps)
      return driver
    },
    spec: (change) => specs.make(change),
    failAt(step) {
      failing = step
    },
    leftovers: () => leftovers(deps, driver),
    async [Symbol.asyncDispose]() {
      for (const handle of await driver.list().catch(() => [])) await driver.destroy(handle)
      await driver.close()
      await rm(deps.runtimeDir, { recursive: true, force: true })
      await specs[Symbol.asyncDispose]()
      await rm(deps.root, { recursive: true, force: true })
    },
  }
}

async function leftovers(deps: PodmanDeps, driver: PodmanDriver): Promise<string[]> {
  const containers = (await driver.list()).map((handle) => `container ${handle.container_id}`)
  const processes = execFileSync('ps', ['-eo', 'pid,args', '-ww'], { encoding: 'utf8', maxBuffer: 64 * 1024 ** 2 })
    .split('\n')
    .filter((line) => line.includes(deps.root))
    .map((line) => line.slice(0, 120))
  const seats = (await readdir(deps.root)).filter((name) => /^[0-9a-f-]{36}$/.test(name))
  const records = await Promise.all(
    seats.map(async (seat) => (await readdir(join(deps.root, seat, 'run'))).map((file) => `${seat}/run/${file}`)),
  )
  const works = await Promise.all(
    seats.map(async (seat) => (await readdir(join(deps.root, seat, 'work'))).map((file) => `${seat}/work/${file}`)),
  )
  return [...containers, ...processes, ...records.flat(), ...works.flat()]
}

export const podmanSubject: DriverSubject = {
  can: {
    processes: true,
    isolation: true,
    freeze: true,
    unkept: memoryIsDelegated() ? null : 'limits.memory',
    steps: PODMAN_STEPS,
  },
  open: () => openHarness(),
}

function memoryIsDelegated(): boolean {
  const info = JSON.parse(execFileSync('podman', ['info', '--format', 'json'], { encoding: 'utf8' })) as {
    host: { cgroupControllers: string[] | null }
  }
  return info.host.cgroupControllers?.includes('memory') ?? false
}
