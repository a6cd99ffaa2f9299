import { describe, expect, test } from 'vitest'
import { outerUid } from '../../src/linux/user-namespaces.ts'

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
