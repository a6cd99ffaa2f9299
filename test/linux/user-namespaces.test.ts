import { describe, expect, test } from 'vitest'
import { parseMountinfo } from '../../src/linux/mountinfo.ts'
import { outerUid, userNamespaceChecks } from '../../src/linux/user-namespaces.ts'

describe('a uid as the user namespace above has it', () => {
  const rootless = '         0        999          1\n         1     100000      65536\n'

  test('in a rootless container, uid 0 is the operator and the others are subordinate', () => {
    expect([0, 1, 1000].map((uid) => outerUid(uid, rootless))).toEqual([999, 100_000, 100_999])
  })

  test('without a namespace of its own, root stays root', () => {
    expect([0, 999].map((uid) => outerUid(uid, '         0          0 4294967295\n'))).toEqual([0, 999])
    expect(outerUid(0, '0 0 65536\n')).toBe(0)
  })

  test('what is not mapped is itself, and this process is who it is', () => {
    expect(outerUid(70_000, rootless)).toBe(70_000)
    expect(outerUid(process.getuid!())).toBe(process.getuid!())
  })
})

describe('a /proc that is covered in part', () => {
  const mounted = (...targets: string[]) =>
    parseMountinfo(targets.map((target, i) => `${i} 1 0:9 / ${target} ro,nosuid - tmpfs tmpfs rw\n`).join(''))
  const checks = (...targets: string[]) => userNamespaceChecks(() => null, mounted(...targets))

  test('is told with what covers it and the remedy', () => {
    expect(checks('/proc', '/proc/kcore', '/proc/acpi')).toMatchObject([
      { name: 'proc.masked', ok: false, message: expect.stringContaining('/proc/kcore, /proc/acpi') },
    ])
    expect(checks('/proc/kcore')[0]?.remedy).toContain('unmask=ALL')
  })

  test('is not a /proc with the mounts that every machine has', () => {
    expect(checks('/', '/proc', '/proc/sys/fs/binfmt_misc', '/processes')).toEqual([])
  })
})
