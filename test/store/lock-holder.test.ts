import { describe, expect, it } from 'vitest'
import { findLockHolder, lockHolder } from '../../src/store/lock-holder.ts'

const LOCKS = `1: POSIX  ADVISORY  READ 11 fe:00:99 1073741826 1073742335
2: FLOCK  ADVISORY  WRITE 12 fe:00:99 0 EOF
2: -> POSIX  ADVISORY  WRITE 13 fe:00:99 0 EOF
3: POSIX  ADVISORY  WRITE -1 fe:00:98 0 EOF
4: POSIX  ADVISORY  WRITE 4711 fe:00:99 1073741824 1073742335
`
const DEVICE = (0xfen << 8n) | 0n

describe('the holder of a lock', () => {
  it('is the process that the kernel names for this inode as its writer', () => {
    expect(findLockHolder(LOCKS, DEVICE, 99n)).toBe(4711)
  })

  it('is nobody for another inode, another device, or from another pid namespace', () => {
    expect(findLockHolder(LOCKS, DEVICE, 9n)).toBeNull()
    expect(findLockHolder(LOCKS, DEVICE + 1n, 99n)).toBeNull()
    expect(findLockHolder(LOCKS, DEVICE, 98n)).toBeNull()
    expect(findLockHolder('', DEVICE, 99n)).toBeNull()
  })

  it('is nobody for a file that is not there', () => {
    expect(lockHolder('/nowhere/at/all')).toBeNull()
  })
})
