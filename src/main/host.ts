import { execFile } from 'node:child_process'
import { readFileSync, statfsSync } from 'node:fs'
import { release, userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Check, HostReport } from '../contract/host.ts'
import { isoTime } from '../kernel/clock.ts'
import { silentLog } from '../kernel/log.ts'
import { type CgroupFacts, cgroupFacts } from '../linux/cgroup.ts'
import { overlayPossible } from '../workspace/overlay-probe.ts'
import { systemClock } from './chance.ts'
import { createDrivers } from './drivers.ts'
import { ownDirectory } from './own-directory.ts'
import { readPolicies } from './policies.ts'
import type { Settings } from './settings.ts'
import { VERSION } from './version.ts'

const run = promisify(execFile)
const PROBE_TIMEOUT_MS = 120_000
/** Below this a spawn may fill the disk. */
const FREE_BYTES_WANTED = 1024 ** 3

export type HostFacts = Omit<HostReport, 'levels' | 'probed_at'>

/** What is true of the host for every level; each level's own checks come from its driver's probe. */
export async function readHostFacts(settings: Settings): Promise<HostFacts> {
  const cgroups = cgroupFacts()
  const overlay = await overlayPossible(settings.missionsPath, systemClock.now(), AbortSignal.timeout(PROBE_TIMEOUT_MS))
  return {
    version: VERSION,
    os: osName(),
    kernel: release(),
    user: userName(),
    cgroups: cgroups.kind,
    delegated_controllers: [...cgroups.delegated],
    overlay: overlay.possible,
    checks: [
      await gitCheck(),
      cgroupCheck(cgroups),
      controllerCheck(cgroups),
      check('overlay', overlay.possible, overlay.possible ? 'Rootless overlay mounts work here' : overlay.reason, {
        remedy:
          'Put missions_path on ext4, xfs or btrfs and use kernel 5.13 or newer; until then seats get private clones.',
        promise: 'overlay',
      }),
      diskCheck(settings),
    ],
  }
}

/** The whole report without a pit: what `lazarus doctor` prints when none runs. */
export async function probeHost(settings: Settings): Promise<HostReport> {
  const stateDir = ownDirectory(settings.stateDir)
  ownDirectory(settings.missionsPath)
  const drivers = createDrivers({ ...settings, stateDir }, readPolicies(settings.packageDir), silentLog)
  try {
    const abort = AbortSignal.timeout(PROBE_TIMEOUT_MS)
    const [facts, ...levels] = await Promise.all([
      readHostFacts(settings),
      ...[...drivers.byLevel.values()].map((driver) => driver.probe(abort)),
    ])
    return { ...facts, probed_at: isoTime(systemClock.now()), levels }
  } finally {
    await drivers.close()
  }
}

function check(
  name: string,
  ok: boolean,
  message: string,
  wrong: { remedy: string; promise?: Check['promise'] },
): Check {
  return { name, ok, message, remedy: ok ? null : wrong.remedy, promise: ok ? null : (wrong.promise ?? null) }
}

/** In a container the uid may have no name. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.getuid?.()}`
  }
}

function osName(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux'
  } catch {
    return 'Linux'
  }
}

async function gitCheck(): Promise<Check> {
  const remedy = 'Install git 2.39 or newer: sudo apt install git'
  try {
    const { stdout } = await run('git', ['--version'])
    const [major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(stdout) ?? []).slice(1).map(Number)
    return check('git', major > 2 || (major === 2 && minor >= 39), stdout.trim(), { remedy })
  } catch {
    return check('git', false, 'git is not installed', { remedy })
  }
}

const cgroupCheck = ({ kind }: CgroupFacts): Check =>
  check('cgroups', kind === 'v2', kind === 'v2' ? 'cgroup v2' : `cgroups are ${kind}`, {
    remedy:
      'Boot with systemd.unified_cgroup_hierarchy=1, or start the pit through bin/as-operator, which makes a private cgroup v2 tree.',
  })

function controllerCheck({ delegated }: CgroupFacts): Check {
  const missing = ['cpu', 'memory', 'pids'].filter((name) => !delegated.includes(name))
  const message =
    missing.length === 0
      ? 'cpu, memory and pids are delegated'
      : `not delegated to this user: ${missing.join(', ')}; rlimits stand in where they can`
  return check('controllers', missing.length === 0, message, {
    remedy:
      'Start the pit in a user session with delegation: systemd-run --user --scope -p Delegate=yes bin/lazarus serve',
    promise: 'limits.memory',
  })
}

function diskCheck({ missionsPath }: Settings): Check {
  const { bavail, bsize } = statfsSync(missionsPath)
  const free = bavail * bsize
  const mib = Math.floor(free / 1024 ** 2)
  return check('disk', free >= FREE_BYTES_WANTED, `${mib} MiB free below ${join(missionsPath)}`, {
    remedy: 'Free space, or name another missions_path in the configuration.',
    promise: 'limits.disk',
  })
}
