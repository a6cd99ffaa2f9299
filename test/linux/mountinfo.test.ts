import { describe, expect, it } from 'vitest'
import { isWithin, mountOf, mountsBelow, parseMountinfo } from '../../src/linux/mountinfo.ts'

const TEXT = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:5 / /proc rw,nosuid,nodev,noexec - proc proc rw
24 22 0:6 /sub /srv/a\\040b rw,nosuid master:1 propagate_from:2 - tmpfs tmp\\134fs rw,size=4k
25 24 0:7 / /srv/a\\040b/deep ro - tmpfs none ro
26 22 0:8 / /srv/a\\040b ro,noexec - tmpfs later rw
broken line
`

describe('mountinfo', () => {
  const facts = parseMountinfo(TEXT)

  it('reads targets, flags, types and sources with their escapes and any number of optional fields', () => {
    expect(facts).toHaveLength(5)
    expect(facts[2]).toMatchObject({
      id: 24,
      root: '/sub',
      target: '/srv/a b',
      flags: ['rw', 'nosuid'],
      type: 'tmpfs',
      source: 'tmp\\fs',
      super_options: ['rw', 'size=4k'],
    })
  })

  it('finds the mount that a path lies on, the later one of two at the same place', () => {
    expect(mountOf('/srv/a b/file', facts)?.source).toBe('later')
    expect(mountOf('/srv/a b/deep/x', facts)?.id).toBe(25)
    expect(mountOf('/srv/a bc', facts)?.target).toBe('/')
  })

  it('lists the mounts below a path, each place once, shallow before deep', () => {
    expect(mountsBelow('/srv', facts).map(({ id }) => id)).toEqual([26, 25])
    expect(mountsBelow('/srv/a b', facts).map(({ id }) => id)).toEqual([25])
    expect(mountsBelow('/pro', facts)).toEqual([])
  })

  it('compares paths by whole names', () => {
    expect(isWithin('/a/b', '/a')).toBe(true)
    expect(isWithin('/ab', '/a')).toBe(false)
    expect(isWithin('/a', '/')).toBe(true)
  })
})
