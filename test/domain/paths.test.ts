import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { contains, isName, isPlain, normalise, overlaps, stepsBelow } from '../../src/domain/paths.ts'

const name = fc.string({ minLength: 1, maxLength: 8 }).filter(isName)
const plain = fc.array(name, { maxLength: 6 }).map((names) => `/${names.join('/')}`)
const rough = fc
  .array(fc.oneof(name, fc.constantFrom('', '.', '..')), { maxLength: 10 })
  .map((names) => `/${names.join('/')}`)

describe('paths', () => {
  it('refuses what could lead elsewhere', () => {
    for (const path of ['', 'a', '/a/../b', '/a//b', '/a/', '/a/.', '/..', '/a\0b', '//'])
      expect(isPlain(path)).toBe(false)
    for (const odd of ['', '.', '..', 'a/b', 'a\0']) expect(isName(odd)).toBe(false)
  })

  it('normalises to a plain path, and a plain path to itself', () => {
    fc.assert(fc.property(rough, (path) => isPlain(normalise(path))))
    fc.assert(fc.property(plain, (path) => normalise(path) === path))
  })

  it('never escapes the root it starts in', () => {
    fc.assert(fc.property(rough, (path) => contains('/', normalise(path))))
  })

  it('contains itself and everything below, and not a sibling with the same beginning', () => {
    fc.assert(fc.property(plain, (path) => contains(path, path)))
    fc.assert(fc.property(plain, name, (path, child) => contains(path, normalise(`${path}/${child}`))))
    fc.assert(fc.property(plain, name, (path, more) => path === '/' || !contains(path, `${path}${more}`)))
  })

  it('is transitive, and both ways only for equal paths', () => {
    fc.assert(fc.property(plain, plain, (a, b) => (contains(a, b) && contains(b, a)) === (a === b)))
    fc.assert(
      fc.property(plain, fc.array(name), fc.array(name), (a, more, evenMore) => {
        const b = normalise([a, ...more].join('/'))
        const c = normalise([b, ...evenMore].join('/'))
        return contains(a, b) && contains(b, c) && contains(a, c)
      }),
    )
  })

  it('overlaps in both directions alike', () => {
    fc.assert(fc.property(plain, plain, (a, b) => overlaps(a, b) === overlaps(b, a)))
    fc.assert(fc.property(plain, plain, (a, b) => overlaps(a, b) === (contains(a, b) || contains(b, a))))
  })

  it('names every component between a root and a path, in order, ending with the path', () => {
    fc.assert(
      fc.property(plain, fc.array(name, { minLength: 1, maxLength: 5 }), (root, names) => {
        const path = normalise([root, ...names].join('/'))
        const steps = stepsBelow(root, path) ?? []
        expect(steps).toHaveLength(names.length)
        expect(steps.at(-1)).toBe(path)
        for (const [index, step] of steps.entries()) expect(contains(steps[index - 1] ?? root, step)).toBe(true)
      }),
    )
  })

  it('has no steps outside the root', () => {
    expect(stepsBelow('/a/b', '/a/bc')).toBeNull()
    expect(stepsBelow('/a', '/a/../b')).toBeNull()
    expect(stepsBelow('/a', '/a')).toEqual([])
    fc.assert(fc.property(plain, plain, (root, path) => (stepsBelow(root, path) !== null) === contains(root, path)))
  })
})
