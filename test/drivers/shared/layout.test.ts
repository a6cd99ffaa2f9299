import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bwrapInner } from '../../../src/drivers/bwrap/inner.ts'
import { type HostView, layout } from '../../../src/drivers/shared/layout.ts'
import { unshareInner } from '../../../src/drivers/unshare/inner.ts'
import type { SandboxMount } from '../../../src/ports/cell-driver.ts'
import { policyOf } from '../../support/policies.ts'

const HOST: HostView = {
  directories: ['/etc', '/home', '/opt', '/proc', '/root', '/run', '/srv', '/tmp', '/usr', '/var', '/workspace'],
  symlinks: { '/bin': 'usr/bin', '/tmp': 'elsewhere' },
  hidden: [
    { path: '/root', directory: true },
    { path: '/srv/homes', directory: true },
    { path: '/srv/homes/deeper', directory: true },
    { path: '/opt/secret', directory: false },
    { path: '/home/x', directory: true },
  ],
  shown: [
    { path: '/usr', source: '/usr', symlink: null },
    { path: '/srv', source: '/srv', symlink: null },
    { path: '/bin', source: '/usr/bin', symlink: 'usr/bin' },
  ],
  files: { '/etc/passwd': '/state/etc/passwd' },
  resolv_conf: null,
  devices: ['/dev/null'],
}
const LEVEL_1 = policyOf('level_1')
const LEVEL_2 = policyOf('level_2')
const targets = (made: ReturnType<typeof layout>) => made.mounts.map(({ target }) => target)

describe('layout of level_1', () => {
  const made = layout(LEVEL_1, [], HOST)

  it('shows the host read-only, without what is hidden and what the hull makes itself', () => {
    const binds = made.mounts.filter((mount) => mount.kind === 'bind' && mount.recursive)
    expect(binds.map(({ target }) => target)).toEqual(['/etc', '/opt', '/srv', '/usr', '/var'])
    expect(binds.every((mount) => mount.kind === 'bind' && mount.read_only)).toBe(true)
    expect(made.directories).toContain('/root')
    expect(made.symlinks).toMatchObject({ '/bin': 'usr/bin' })
    expect(made.symlinks).not.toHaveProperty('/tmp')
  })

  it('covers what is hidden deeper, once, after the bind that shows it', () => {
    const all = targets(made)
    expect(all.indexOf('/srv/homes')).toBeGreaterThan(all.indexOf('/srv'))
    expect(all).not.toContain('/srv/homes/deeper')
    expect(all).not.toContain('/home/x')
    expect(made.mounts.find(({ target }) => target === '/opt/secret')).toMatchObject({
      kind: 'bind',
      source: '/dev/null',
    })
  })
})

describe('layout of level_2', () => {
  it('shows only the named paths, and covers a hidden one below them', () => {
    const made = layout(LEVEL_2, [], HOST)
    expect(targets(made)).toEqual([
      '/usr',
      '/srv',
      '/srv/homes',
      '/etc/passwd',
      '/dev/null',
      '/dev/pts',
      '/dev/shm',
      '/proc',
      '/tmp',
    ])
    expect(made.symlinks['/bin']).toBe('usr/bin')
  })

  it('bounds /tmp and /dev/shm', () => {
    const made = layout({ ...LEVEL_2, limits: { tmp: 65536 } }, [], HOST)
    expect(
      made.mounts
        .filter(({ kind }) => kind === 'tmpfs')
        .every((mount) => /size=65536|size=4k/.test(JSON.stringify(mount))),
    ).toBe(true)
  })
})

describe('mounts of a seat', () => {
  const bind = (target: string, read_only = false): SandboxMount => ({ kind: 'bind', target, source: '/s', read_only })
  const overlay: SandboxMount = { kind: 'overlay', target: '/workspace', lower: '/l', upper: '/u', work: '/w' }

  it('never lie below what the agent can write: it could plant a symlink there', () => {
    for (const mounts of [
      [overlay, bind('/workspace/x')],
      [bind('/workspace/x'), overlay],
      [bind('/home/agent'), bind('/home/agent/.cache', true)],
      [{ kind: 'tmpfs', target: '/tmp', bytes: 4096 } as const, bind('/tmp/x', true)],
    ]) {
      expect(() => layout(LEVEL_1, mounts, HOST)).toThrow(/lies below/)
    }
    expect(() => layout(LEVEL_1, [bind('/mission', true), bind('/mission/sub', true)], HOST)).not.toThrow()
  })

  it('are refused at odd places', () => {
    for (const target of [
      '/',
      'relative',
      '/a/../b',
      '/a//b',
      '/a/',
      '/proc/x',
      '/usr',
      '/usr/lib/x',
      '/dev',
      '/etc/passwd',
      '/a\0b',
    ]) {
      expect(() => layout(LEVEL_2, [bind(target)], HOST), target).toThrow(/mount target/)
    }
    expect(() => layout(LEVEL_2, [overlay, overlay], HOST)).toThrow(/twice/)
  })
})

describe('inner steps', () => {
  const command = fc.array(fc.string(), { minLength: 1, maxLength: 6 })

  it('hand the command on as it is, last and whole', () => {
    fc.assert(
      fc.property(command, (words) => {
        for (const argv of [unshareInner(LEVEL_1, words), bwrapInner(LEVEL_2, words)]) {
          expect(argv.slice(-words.length)).toEqual(words)
          expect(argv.at(-words.length - 1)).toBe('--')
        }
      }),
    )
  })

  it('level_2 gives bubblewrap no mount target but the root: before 0.12 it follows a planted /oldroot', () => {
    const argv = bwrapInner(LEVEL_2, ['true'])
    const mounting = argv.filter((word) =>
      /^--(ro-)?(dev-)?bind|^--(tmpfs|proc|dev|file|dir|symlink|overlay|mqueue|remount)/.test(word),
    )
    expect(mounting).toEqual(['--dev-bind'])
    expect(argv.slice(argv.indexOf('--dev-bind') + 1).slice(0, 2)).toEqual(['/', '/'])
  })

  it('drop what the policy says', () => {
    expect(unshareInner(LEVEL_1, ['true'])).toEqual(
      expect.arrayContaining(['--no-new-privs', '--bounding-set=-all', '--keep-caps']),
    )
    expect(bwrapInner(LEVEL_2, ['true'])).toEqual(
      expect.arrayContaining(['--disable-userns', '--assert-userns-disabled', '--seccomp', '--new-session']),
    )
    expect(unshareInner({ ...LEVEL_1, nested_user_namespaces: true }, ['true']).join(' ')).not.toContain(
      'max_user_namespaces',
    )
  })
})
