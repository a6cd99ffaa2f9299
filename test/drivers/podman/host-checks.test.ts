import { describe, expect, it } from 'vitest'
import type { PodmanInfo } from '../../../src/drivers/podman/client.ts'
import { translate } from '../../../src/drivers/podman/errors.ts'
import { hostChecks } from '../../../src/drivers/podman/host-checks.ts'

const READY: PodmanInfo = {
  host: {
    cgroupManager: 'systemd',
    cgroupVersion: 'v2',
    cgroupControllers: ['cpu', 'memory', 'pids'],
    security: { rootless: true, seccompEnabled: true },
    idMappings: { uidmap: [{ size: 1 }, { size: 65_536 }] },
    ociRuntime: { name: 'crun' },
  },
  store: { graphDriverName: 'overlay', graphRoot: '/var/lib/containers' },
  version: { Version: '5.4.2' },
}
const CGROUPS = { parent: null, controllers: ['cpu', 'memory', 'pids'], own: true }
type Change = {
  host?: Partial<PodmanInfo['host']>
  store?: Partial<PodmanInfo['store']>
  version?: PodmanInfo['version']
}
const failing = (change: Change, cgroups = CGROUPS, exists = () => true) =>
  hostChecks(
    {
      host: { ...READY.host, ...change.host },
      store: { ...READY.store, ...change.store },
      version: change.version ?? READY.version,
    },
    cgroups,
    exists,
  ).filter(({ ok }) => !ok)

describe('checks of the host', () => {
  it('finds nothing on a host that is ready', () => {
    expect(failing({})).toEqual([])
  })

  it.each<[string, Change, RegExp]>([
    ['podman', { version: { Version: '4.2.9' } }, /4\.3 or newer/],
    ['rootless', { host: { security: { rootless: false, seccompEnabled: true } } }, /DOCKER_HOST/],
    ['subordinate_ids', { host: { idMappings: { uidmap: null } } }, /--add-subuids/],
    ['cgroups', { host: { cgroupVersion: 'v1' } }, /bin\/as-operator/],
    ['seccomp', { host: { security: { rootless: true, seccompEnabled: false } } }, /seccomp/],
    ['storage.driver', { store: { graphDriverName: 'vfs' } }, /storage\.conf/],
  ])('names %s with its remedy', (name, change, remedy) => {
    expect(failing(change)).toEqual([
      expect.objectContaining({ name, promise: null, remedy: expect.stringMatching(remedy) }),
    ])
  })

  it('names catatonit when it is missing', () => {
    expect(failing({}, CGROUPS, () => false)).toEqual([
      expect.objectContaining({ name: 'init', remedy: 'apt install catatonit' }),
    ])
  })

  it('costs promises, not the level, when controllers are not delegated', () => {
    const found = failing({}, { ...CGROUPS, controllers: ['pids'] })
    expect(found.map(({ promise }) => promise)).toEqual(['limits.cpu', 'limits.memory'])
  })
})

describe('translation of foreign errors', () => {
  const http = (statusCode: number, message: string) =>
    Object.assign(new Error(message), { statusCode, json: { message } })
  it.each([
    [http(500, 'crun: cgroups in hybrid mode not supported'), 'isolation_unavailable'],
    [http(500, 'crun: opening file `memory.max` for writing: No such file or directory'), 'isolation_degraded'],
    [http(500, 'write /var/lib/x: no space left on device'), 'storage_full'],
    [http(404, 'no such image: localhost/x: image not known'), 'image_unavailable'],
    [http(409, 'container abc is paused: container state improper'), 'conflict'],
    [Object.assign(new Error('connect ECONNREFUSED /run/p.sock'), { code: 'ECONNREFUSED' }), 'runtime_failed'],
    [http(500, 'something new'), 'spawn_failed'],
  ])('%s is %s', (error, code) => {
    const translated = translate(error, 'The cell could not be started', 'spawn_failed')
    expect(translated).toMatchObject({ code, cause: error })
    expect(translated.remedy).not.toBe('')
  })
})
