import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { homeConflict, outermost } from '../../src/domain/homes.ts'
import { contains } from '../../src/domain/paths.ts'

const path = fc.array(fc.constantFrom('a', 'b', 'ab', 'a.b'), { maxLength: 5 }).map((names) => `/${names.join('/')}`)

describe('homeConflict', () => {
  const homes = ['/home/alice', '/root']
  it.each([
    ['/home/alice', 'is'],
    ['/home', 'contains'],
    ['/', 'contains'],
    ['/home/alice/project', 'lies in'],
    ['/home/alicia', null],
    ['/home/alic', null],
    ['/srv', null],
  ])('%s: %s', (asked, relation) => {
    expect(homeConflict(asked, homes, [])?.relation ?? null).toBe(relation)
  })

  it('lets through what lies in a directory of the pit that lies in the home, but not a home inside it', () => {
    const own = ['/home/alice/state']
    expect(homeConflict('/home/alice/state', homes, own)).toBeNull()
    expect(homeConflict('/home/alice/state/missions/x', homes, own)).toBeNull()
    expect(homeConflict('/home/alice/statement', homes, own)).toMatchObject({ relation: 'lies in' })
    expect(homeConflict('/home/alice', homes, own)).toMatchObject({ relation: 'is' })
    expect(homeConflict('/home/alice/state/bob/x', [...homes, '/home/alice/state/bob'], own)).toMatchObject({
      home: '/home/alice/state/bob',
    })
  })

  it('is no way out when a directory of the pit contains the home', () => {
    expect(homeConflict('/home/alice/x', homes, ['/home'])).toMatchObject({ relation: 'lies in' })
  })

  it('refuses exactly what overlaps a home, when nothing is exempt', () => {
    fc.assert(
      fc.property(path, fc.array(path, { maxLength: 4 }), (asked, homes) => {
        const overlaps = homes.some((home) => contains(home, asked) || contains(asked, home))
        expect(homeConflict(asked, homes, []) !== null).toBe(overlaps)
      }),
    )
  })

  it('an exemption never frees more than its own subtree', () => {
    fc.assert(
      fc.property(path, fc.array(path, { maxLength: 3 }), fc.array(path, { maxLength: 3 }), (asked, homes, own) => {
        if (homeConflict(asked, homes, own) === null && homeConflict(asked, homes, []) !== null) {
          expect(own.some((directory) => contains(directory, asked))).toBe(true)
        }
      }),
    )
  })
})

describe('outermost', () => {
  it('covers every path exactly once', () => {
    fc.assert(
      fc.property(fc.array(path, { maxLength: 8 }), (paths) => {
        const roots = outermost(paths)
        for (const one of paths) expect(roots.filter((root) => contains(root, one))).toHaveLength(1)
        for (const root of roots) expect(paths).toContain(root)
      }),
    )
  })
})
