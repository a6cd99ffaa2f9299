import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { containerName, containerSpec } from '../../../src/drivers/podman/container-spec.ts'
import type { SandboxMount, SandboxSpec } from '../../../src/ports/cell-driver.ts'
import { levelPolicy } from './harness.ts'

const policy = await levelPolicy()
const SPEC: SandboxSpec = {
  name: { mission_id: '6a0c8a52-6e4a-4b6e-9d0e-4f1f3c1b2a10', agent_id: 'builder', generation: 3 },
  policy: { ...policy, limits: { ...policy.limits, memory: 64 * 1024 ** 2, cpu: 1.5, pids: 100 } },
  command: ['agent'],
  environment: { PATH: '/usr/bin', TOKEN: 'secret' },
  mounts: [
    { kind: 'overlay', target: '/workspace', lower: '/s/base', upper: '/s/upper', work: '/s/work' },
    { kind: 'bind', target: '/mission', source: '/s/mission', read_only: true },
    { kind: 'tmpfs', target: '/tmp', bytes: 4096 },
  ],
  cwd: '/workspace',
  log_path: '/s/log',
  run_dir: '/s/run',
  hidden_paths: ['/home'],
}
const CONTEXT = {
  stateKey: 'abcdef0123456789',
  image: {
    id: 'f00',
    reference: 'cell',
    environment: ['LANG=C', 'OF_IMAGE=x'],
    volumes: ['/data', '/tmp'],
    health_check: true,
  },
  seccompPath: '/s/seccomp.json',
  cgroups: { parent: '/pit/cells', controllers: [] as string[], own: true },
}

describe('container spec', () => {
  it('asks for every promise of the level', () => {
    expect(containerSpec(SPEC, CONTEXT)).toMatchObject({
      Image: 'f00',
      User: '1000:1000',
      Env: ['PATH=/usr/bin', 'TOKEN=secret'],
      HostConfig: {
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges', 'seccomp=/s/seccomp.json'],
        ReadonlyRootfs: true,
        NetworkMode: 'none',
        UsernsMode: 'keep-id:uid=1000,gid=1000',
        PidMode: 'private',
        IpcMode: 'private',
        CgroupnsMode: 'private',
        CgroupParent: '/pit/cells',
        Binds: ['/s/base:/workspace:O,upperdir=/s/upper,workdir=/s/work', '/s/mission:/mission:ro,nosuid,nodev'],
        LogConfig: { Type: 'k8s-file' },
      },
    })
  })

  it('puts no value of the environment on a command line', () => {
    expect(JSON.stringify(containerSpec(SPEC, CONTEXT).Cmd)).not.toContain('secret')
  })

  it('never asks for what opens the host', () => {
    const text = JSON.stringify(containerSpec(SPEC, CONTEXT))
    for (const word of ['Privileged', 'Devices', 'VolumesFrom', 'CapAdd', '"host"', 'unconfined'])
      expect(text).not.toContain(word)
  })

  it('asks for a cgroup limit only where a controller can keep it', () => {
    const without = containerSpec(SPEC, CONTEXT).HostConfig
    expect(without).not.toHaveProperty('Memory')
    const cgroups = { ...CONTEXT.cgroups, controllers: ['cpu', 'memory', 'pids'] }
    const all = containerSpec(SPEC, { ...CONTEXT, cgroups }).HostConfig
    expect(all).toMatchObject({ NanoCpus: 1.5e9, Memory: 64 * 1024 ** 2, MemorySwap: 64 * 1024 ** 2, PidsLimit: 100 })
  })

  it('carries every path that it takes whole, and refuses the others', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (name) => {
        const source = `/${name}`
        const mount: SandboxMount = { kind: 'bind', target: '/extra', source, read_only: true }
        const make = () => containerSpec({ ...SPEC, mounts: [mount] }, CONTEXT).HostConfig?.Binds
        if (/[:,\\\n]/.test(name)) expect(make).toThrow(expect.objectContaining({ code: 'invalid_request' }))
        else expect(make()).toEqual([`${source}:/extra:ro,nosuid,nodev`])
      }),
    )
  })

  it('gives volumes of the image bounded memory, and our mounts precedence', () => {
    const { Tmpfs } = containerSpec(SPEC, CONTEXT).HostConfig ?? {}
    expect(Tmpfs).toMatchObject({
      '/data': expect.stringContaining('size='),
      '/tmp': expect.stringContaining('size=4096,'),
    })
  })

  it('derives bounded names, different for different sandboxes', () => {
    const long = { ...SPEC.name, agent_id: 'a'.repeat(63) }
    const other = { ...SPEC.name, agent_id: `${'a'.repeat(62)}b` }
    expect(containerName(long, CONTEXT.stateKey)).toMatch(/^[a-z0-9][a-z0-9_.-]{1,127}$/)
    expect(containerName(long, CONTEXT.stateKey)).not.toBe(containerName(other, CONTEXT.stateKey))
    expect(containerName(SPEC.name, CONTEXT.stateKey)).toBe(
      'lazarus-abcdef01-6a0c8a52-6e4a-4b6e-9d0e-4f1f3c1b2a10-builder-g3',
    )
  })
})
