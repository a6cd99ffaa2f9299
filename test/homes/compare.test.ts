import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ChangeCollector } from '../../src/homes/compare.ts'
import { differences, isRegularFile, showBytes, withContent } from '../../src/homes/entry.ts'
import { RecordCutter } from '../../src/homes/records.ts'
import { findArguments } from '../../src/homes/walk.ts'

const record = (path: string, size: number, target = '') => `${path}//f 644 1:1 ${size} 1.5 2.5 77 - ${target}`

describe('comparing', () => {
  it('finds what a comparison by table finds, for any two trees', () => {
    // Names that sort before and after the slash, and one that looks like the start of a record's fields.
    const name = fc.constantFrom('a', 'b', '.a', '-', 'a ', 'z f 644', '\t', '~')
    const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => `/${names.join('/')}`)
    const tree = fc.dictionary(path, fc.constantFrom(1, 2), { maxKeys: 12 })
    fc.assert(
      fc.property(tree, tree, (before, after) => {
        const lines = [
          ...Object.entries(before)
            .filter(([p, size]) => after[p] !== size)
            .map(([p, size]) => [record(p, size), '']),
          ...Object.entries(after)
            .filter(([p, size]) => before[p] !== size)
            .map(([p, size]) => [record(p, size), '\t']),
        ] as [string, string][]
        // As comm merges two files that are sorted by bytes.
        lines.sort((a, b) => Buffer.compare(Buffer.from(a[0]), Buffer.from(b[0])))
        const collector = new ChangeCollector()
        for (const [text, column] of lines) collector.add(Buffer.from(column + text))
        const expected = [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((p) => {
          if (before[p] === after[p]) return []
          return [[p, before[p] === undefined ? 'added' : after[p] === undefined ? 'removed' : 'size']]
        })
        const { changed, changes } = collector.finish()
        expect(Object.fromEntries(changed.map(({ path, what }) => [path, what]))).toEqual(Object.fromEntries(expected))
        expect(changes).toBe(expected.length)
      }),
    )
  })

  it('names the target of a symlink, spaces and slashes and all', () => {
    expect(differences(Buffer.from(record('/l', 3, 'a // b')), Buffer.from(record('/l', 3, 'a // c')))).toBe('target')
    expect(differences(Buffer.from(record('/l', 3, 'x y')), Buffer.from(record('/l', 4, 'x y')))).toBe('size')
  })

  it('puts content into a record and touches nothing else', () => {
    const before = Buffer.concat([Buffer.from('/\xff x', 'latin1'), Buffer.from('//f 644 1:1 3 1.5 2.5 77 - ')])
    const after = withContent(before, 'cafe')
    expect(after.toString('latin1')).toBe('/\xff x//f 644 1:1 3 1.5 2.5 77 cafe ')
    expect(differences(before, after)).toBe('content')
    expect(isRegularFile(after)).toBe(true)
    expect(isRegularFile(Buffer.from(record('/x', 1).replace('//f', '//d')))).toBe(false)
  })
})

describe('bytes', () => {
  it('are cut at NUL alike in any portions', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ min: 1, maxLength: 9 })), fc.array(fc.nat(20)), (records, sizes) => {
        const whole = Buffer.concat(records.flatMap((one) => [one, Buffer.of(0)]))
        const cutter = new RecordCutter()
        const cut: Buffer[] = []
        let from = 0
        for (const size of [...sizes, whole.length]) {
          cut.push(...[...cutter.cut(whole.subarray(from, from + size))].map((one) => Buffer.from(one)))
          from += size
        }
        expect(cut).toEqual(records.map((one) => Buffer.from(one)))
        expect(cutter.torn).toBe(false)
      }),
    )
  })

  it('are shown as text where they are UTF-8, and as %XX where they are not', () => {
    expect(showBytes(Buffer.from([0x61, 0xc3, 0xa9, 0xff, 0xc3, 0x62, 0xf0, 0x9f, 0x9c, 0x81, 0xed, 0xa0, 0x80]))).toBe(
      'aé%FF%C3b🜁%ED%A0%80',
    )
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(showBytes(Buffer.from(text))).toBe(text)
      }),
    )
  })
})

describe('the arguments of find', () => {
  it('hold a pruned path as one argument and no pattern', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (name) => {
        const args = findArguments([`/own/${name}`], '/e', '/u')
        const pattern = args[args.indexOf('-path') + 1]!
        expect(pattern.replace(/\\([\\*?[\]])/g, '$1')).toBe(`/own/${name}`)
        expect(pattern.replace(/\\[\\*?[\]]/g, '')).not.toMatch(/[*?[\]\\]/)
      }),
    )
  })
})
