import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TarCheck } from '../../src/workspace/tar-check.ts'
import { TarFault } from '../../src/workspace/tar-header.ts'
import { ending, member, pax, paxed } from './tar-writer.ts'

const bounds = { parts: ['upper', 'home'], max_entries: 100, max_bytes: 1_000_000 }

function check(archive: Buffer, piece = archive.length): TarCheck {
  const tar = new TarCheck(bounds)
  for (let at = 0; at < archive.length; at += piece) tar.push(archive.subarray(at, at + piece))
  tar.end()
  return tar
}

const archive = (...members: readonly Buffer[]): Buffer => Buffer.concat([...members, ending])
const DIRECTORY = { name: 'upper/', type: '5' } as const

describe('the tar check', () => {
  const sound = archive(
    member(DIRECTORY),
    member({ name: 'upper/file', content: 'x'.repeat(700) }),
    member({ name: 'upper/link', type: '2', link: '/etc/passwd' }),
    member({ name: 'upper/hard', type: '1', link: 'upper/file' }),
    member({ name: 'upper/gone', type: '3' }),
    member({ name: 'upper/fifo', type: '6' }),
    paxed(
      { path: `upper/${'n'.repeat(200)}`, mtime: '1.5', 'SCHILY.xattr.user.note': 'a\nb=c' },
      member({ name: 'upper/n' }),
    ),
    paxed(
      { 'GNU.sparse.major': '1', 'GNU.sparse.name': 'home/hole', 'GNU.sparse.realsize': '1' },
      member({ name: 'home/GNUSparseFile.1/hole', content: '0\n' }),
    ),
  )

  it('takes what GNU tar writes for us, in pieces of any size', () => {
    for (const piece of [1, 7, 511, 512, 513, 10_000]) {
      const tar = check(sound, piece)
      expect([tar.entries, tar.bytes, [...tar.parts]]).toEqual([8, sound.length, ['upper', 'home']])
    }
    const args = [
      '-C',
      import.meta.dirname,
      '--create',
      '--format=posix',
      '--transform=s,^,upper/,',
      '--',
      'tar-check.test.ts',
    ]
    expect(check(execFileSync('tar', args)).entries).toBe(1)
  })

  it.each([
    ['an absolute name', member({ name: '/etc/passwd' })],
    ['a name with ..', member({ name: 'upper/../../x' })],
    ['a name that is ..', member({ name: '..', type: '5' })],
    ['a name with .', member({ name: 'upper/./x' })],
    ['a name with an empty step', member({ name: 'upper//x' })],
    ['an empty name', member({ name: '' })],
    ['a name outside of the parts', member({ name: 'layer.json' })],
    ['a name that only begins like a part', member({ name: 'upperlayer/x' })],
    ['a part that is a symlink', member({ name: 'upper', type: '2', link: '/' })],
    ['a part that is a file', member({ name: 'home', content: 'x' })],
    ['an absolute name in a pax header', paxed({ path: '/etc/passwd' }, member({ name: 'upper/x' }))],
    ['a name with .. in a pax header', paxed({ path: 'upper/../x' }, member({ name: 'upper/x' }))],
    ['a name with .. of a sparse file', paxed({ 'GNU.sparse.name': '../x' }, member({ name: 'upper/x' }))],
    ['a name with .. in a prefix', member({ name: 'x', prefix: 'upper/..' })],
    ['a NUL in a name', paxed({ path: 'upper/x\0y' }, member({ name: 'upper/x' }))],
    ['a hard link to outside', member({ name: 'upper/x', type: '1', link: '/etc/shadow' })],
    ['a hard link through ..', member({ name: 'upper/x', type: '1', link: 'upper/../../x' })],
    [
      'a hard link to outside in a pax header',
      paxed({ linkpath: '/etc/shadow' }, member({ name: 'upper/x', type: '1', link: 'upper/y' })),
    ],
    ['a setuid file', member({ name: 'upper/x', mode: 0o4755 })],
    ['a setgid directory', member({ name: 'upper/x/', type: '5', mode: 0o2755 })],
    ['a block device', member({ name: 'upper/x', type: '4', major: 8 })],
    ['a device that is no whiteout', member({ name: 'upper/x', type: '3', major: 1, minor: 3 })],
    ['a device that is no whiteout by its minor', member({ name: 'upper/x', type: '3', minor: 1 })],
    ['a GNU long name', member({ name: '././@LongLink', type: 'L', content: '/etc/passwd' })],
    ['a global header', member({ name: 'g', type: 'g', content: pax({ path: '/x' }) })],
    ['a volume header', member({ name: 'upper/v', type: 'V' })],
    ['a privileged attribute', paxed({ 'SCHILY.xattr.security.capability': 'x' }, member({ name: 'upper/x' }))],
    ['an access list', paxed({ 'SCHILY.acl.access': 'x' }, member({ name: 'upper/x' }))],
    ['a key twice', paxed({ path: 'upper/x' }, member({ name: 'upper/x' }), pax({ path: '/y' }))],
    ['a size that is no number', paxed({ size: '-1' }, member({ name: 'upper/x' }))],
    ['a size beyond all numbers', paxed({ size: '9'.repeat(30) }, member({ name: 'upper/x' }))],
    ['a pax header that ends early', member({ name: 'p', type: 'x', content: '99 path=x\n' })],
    ['a pax header of length 0', member({ name: 'p', type: 'x', content: '0 path=x\n' })],
    ['a pax header without a member', paxed({ path: 'upper/x' }, Buffer.alloc(0))],
    ['two pax headers', paxed({ path: 'upper/x' }, paxed({ path: 'upper/y' }, member({ name: 'upper/x' })))],
    ['content of a directory', member({ name: 'upper/x/', type: '5', content: 'x' })],
    ['a wrong checksum', corrupted(member({ name: 'upper/x' }))],
    ['a header of another format', member({ name: 'upper/x', magic: 'ustar  \0' })],
  ])('refuses %s', (_, hostile) => {
    expect(() => check(archive(member(DIRECTORY), hostile))).toThrow(TarFault)
  })

  it('refuses an archive that ends early, or does not end with its end', () => {
    for (const length of [0, 512, 1000, sound.length - ending.length, sound.length - ending.length + 512]) {
      expect(() => check(sound.subarray(0, length))).toThrow('ends in the middle')
    }
    expect(() => check(Buffer.concat([sound, member({ name: 'upper/late' })]))).toThrow('after its end')
  })

  it('whatever the bytes are, says what is wrong or takes it, and never more than its bounds', () => {
    const edit = fc.record({ at: fc.nat(sound.length - 1), byte: fc.nat(255) })
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 2000 }), (edits, piece) => {
        const bytes = Buffer.from(sound)
        for (const { at, byte } of edits) bytes[at] = byte
        try {
          expect(check(bytes, piece).entries).toBeLessThanOrEqual(100)
        } catch (error) {
          expect(error).toBeInstanceOf(TarFault)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('says which bound is exceeded', () => {
    const many = Array.from({ length: 101 }, (_, index) => member({ name: `upper/${index}` }))
    expect(() => check(archive(...many))).toThrow(expect.objectContaining({ limit: 'entries' }))
    expect(() => check(Buffer.alloc(1_000_001))).toThrow(expect.objectContaining({ limit: 'bytes' }))
    const deep = paxed({ path: `upper/${'d/'.repeat(2100)}x` }, member({ name: 'upper/x' }))
    expect(() => check(archive(deep))).toThrow(expect.objectContaining({ limit: 'path' }))
  })
})

function corrupted(block: Buffer): Buffer {
  block[0]! ^= 1
  return block
}
