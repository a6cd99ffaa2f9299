import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mountTable } from '../../src/linux/mount-table.ts'
import { parseMountinfo } from '../../src/linux/mountinfo.ts'

const HOST = parseMountinfo(`1 0 254:0 / / rw,relatime - ext4 /dev/vda rw
2 1 0:2 / /data rw,nosuid,noexec - tmpfs t rw
3 2 0:3 / /data/sub rw,nodev - tmpfs t rw
4 2 0:4 / /data/hidden rw - tmpfs t rw
5 1 0:5 / /cdrom ro - iso9660 t ro
`)
const ROOT = '/run/r'
const lines = (table: string) => table.trim().split('\n')
/** As fstab(5) undoes it. */
const unescaped = (field: string) =>
  field.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))

describe('mount table', () => {
  it('binds the root first, read-only', () => {
    expect(lines(mountTable([], ROOT, HOST))).toEqual(['/run/r /run/r none bind,ro,nosuid,nodev 0 0'])
  })

  it('keeps flags that are locked, and covers every submount with its own', () => {
    const bind = { kind: 'bind', source: '/data', target: '/data', read_only: true, recursive: true } as const
    expect(lines(mountTable([bind], ROOT, HOST)).slice(1)).toEqual([
      '/data /run/r/data none rbind,ro,nosuid,nodev,noexec 0 0',
      '/data/hidden /run/r/data/hidden none rbind,ro,nosuid,nodev 0 0',
      '/data/sub /run/r/data/sub none rbind,ro,nosuid,nodev 0 0',
    ])
    expect(lines(mountTable([{ ...bind, except: ['/data/hidden'] }], ROOT, HOST))).toHaveLength(3)
  })

  it('does not ask for a writable bind of what is read-only', () => {
    const bind = { kind: 'bind', source: '/cdrom/x', target: '/x', read_only: false } as const
    expect(lines(mountTable([bind], ROOT, HOST))[1]).toBe('/cdrom/x /run/r/x none bind,nosuid,nodev,ro 0 0')
  })

  it('puts an overlay together, and refuses paths that mount(8) or overlayfs would split', () => {
    const overlay = { kind: 'overlay', target: '/w', lowers: ['/a', '/b'], upper: '/u', work: '/k' } as const
    expect(lines(mountTable([overlay], ROOT, HOST))[1]).toBe(
      'overlay /run/r/w overlay nosuid,nodev,lowerdir=/a:/b,upperdir=/u,workdir=/k,index=off,userxattr 0 0',
    )
    for (const upper of ['/u,v', '/u:v', '/u\\v', '/u v', '/u"v', '/u\nv']) {
      expect(() => mountTable([{ ...overlay, upper }], ROOT, HOST)).toThrow(/overlay cannot lie/)
    }
  })

  it('keeps every path in its own field of its own line', () => {
    const path = fc
      .string({ unit: fc.constantFrom('a', ' ', '\t', '\n', '\\', '#', '"', "'", '0', '4', 'ü', '\r') })
      .map((text) => `/x${text}`)
    fc.assert(
      fc.property(path, path, (source, target) => {
        const table = lines(mountTable([{ kind: 'bind', source, target, read_only: true }], ROOT, HOST))
        expect(table).toHaveLength(2)
        const fields = table[1]!.split(' ')
        expect(fields).toHaveLength(6)
        expect([unescaped(fields[0]!), unescaped(fields[1]!)]).toEqual([source, ROOT + target])
      }),
    )
  })
})
