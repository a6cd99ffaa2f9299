import { existsSync } from 'node:fs'
import type { Check } from '../../contract/host.ts'
import type { PromiseName } from '../../contract/policy.ts'
import type { CgroupFacts } from './cgroups.ts'
import type { PodmanInfo } from './client.ts'

/** The first with keep-id:uid=,gid=, without which the agent's files would not be the operator's. */
const OLDEST = [4, 3]
const ENOUGH_IDS = 65_536
const INITS = [
  '/usr/bin/catatonit',
  '/usr/libexec/podman/catatonit',
  '/usr/libexec/catatonit/catatonit',
  '/usr/lib/podman/catatonit',
]

interface Finding {
  readonly name: string
  readonly ok: boolean
  readonly is: string
  readonly remedy: string
  readonly promise?: PromiseName
}

type Look = (path: string) => boolean

/**
 * What Podman says of itself, judged. A name with a dot informs or costs a promise; any other one costs the level.
 * `exists` is null where Podman sees another file system than we do: then only the trial can tell what is missing.
 */
export function hostChecks(info: PodmanInfo, cgroups: CgroupFacts, exists: Look | null = existsSync): Check[] {
  return [...needs(info, exists), ...wishes(info, cgroups)].map(({ name, ok, is, remedy, promise }) => ({
    name,
    ok,
    message: is,
    remedy: ok ? null : remedy,
    promise: promise ?? null,
  }))
}

function needs({ host, version }: PodmanInfo, exists: Look | null): Finding[] {
  const ids = (host.idMappings.uidmap ?? []).reduce((sum, { size }) => sum + size, 0)
  return [
    {
      name: 'podman',
      ok: isAtLeast(version.Version, OLDEST),
      is: `Podman ${version.Version}`,
      remedy: `Install Podman ${OLDEST.join('.')} or newer.`,
    },
    {
      name: 'rootless',
      ok: host.security.rootless,
      is: host.security.rootless ? 'Podman runs as the operator' : 'this Podman runs as root',
      remedy: 'Let DOCKER_HOST name the socket of the operator, or unset it.',
    },
    {
      name: 'subordinate_ids',
      ok: ids > ENOUGH_IDS,
      is: `${ids} user ids are mapped`,
      remedy: 'usermod --add-subuids 100000-165535 --add-subgids 100000-165535 <operator>; podman system migrate',
    },
    {
      name: 'cgroups',
      ok: host.cgroupVersion === 'v2',
      is: `cgroups ${host.cgroupVersion}`,
      remedy: 'Start the pit with bin/as-operator, or boot with systemd.unified_cgroup_hierarchy=1.',
    },
    {
      name: 'seccomp',
      ok: host.security.seccompEnabled,
      is: host.security.seccompEnabled ? 'the runtime knows seccomp' : 'the runtime knows no seccomp',
      remedy: 'Use crun or runc of the distribution, which have seccomp.',
    },
    ...(exists ? [initOf(exists)] : []),
  ]
}

const initOf = (exists: Look): Finding => ({
  name: 'init',
  ok: INITS.some(exists),
  is: INITS.find(exists) ?? 'catatonit was not found',
  remedy: 'apt install catatonit',
})

function wishes({ host, store }: PodmanInfo, cgroups: CgroupFacts): Finding[] {
  const limits: PromiseName[] = ['limits.cpu', 'limits.memory', 'limits.pids']
  return [
    {
      name: 'storage.driver',
      ok: store.graphDriverName !== 'vfs',
      is: `images are stored by the driver ${store.graphDriverName}`,
      remedy:
        'vfs copies the image for every cell: write driver = "overlay" into ~/.config/containers/storage.conf, then podman system reset',
    },
    {
      name: 'cgroup.own',
      ok: cgroups.own,
      is: cgroups.own
        ? `containers get cgroups of their own (${host.cgroupManager})`
        : 'containers share the cgroup of the pit',
      remedy: 'Start the pit as a systemd user unit, or with bin/as-operator.',
    },
    ...limits.map((promise): Finding => {
      const controller = promise.slice('limits.'.length)
      const ok = cgroups.controllers.includes(controller)
      return {
        name: `cgroup.${controller}`,
        ok,
        is: ok ? 'delegated' : 'not delegated to the operator',
        remedy:
          'Delegate it: Delegate=cpu memory pids in user@.service, or bin/as-operator on a host with unified cgroups.',
        // RLIMIT_NPROC counts per user namespace, so it keeps the bound on processes.
        ...(promise === 'limits.pids' ? {} : { promise }),
      }
    }),
  ]
}

function isAtLeast(version: string, wanted: readonly number[]): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major !== wanted[0] ? major > wanted[0]! : minor >= wanted[1]!
}
