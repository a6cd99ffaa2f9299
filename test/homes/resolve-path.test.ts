import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { resolvePath } from '../../src/homes/resolve-path.ts'
import { rejection, Scratch } from './scratch.ts'

describe('resolvePath', () => {
  it('agrees with the kernel on any tree of directories and symlinks', async () => {
    const name = fc.constantFrom('a', 'b', 'c')
    const step = fc.constantFrom('a', 'b', 'c', '..', '.', '')
    const target = fc.tuple(fc.boolean(), fc.array(step, { minLength: 1, maxLength: 4 }))
    const tree = fc.array(fc.tuple(fc.array(name, { minLength: 1, maxLength: 3 }), fc.option(target)), {
      maxLength: 10,
    })
    await fc.assert(
      fc.asyncProperty(tree, fc.array(step, { maxLength: 6 }), async (entries, asked) => {
        const root = realpathSync(mkdtempSync(join(tmpdir(), 'lazarus-resolve-')))
        try {
          for (const [names, link] of entries) {
            try {
              const path = join(root, ...names)
              if (!link) mkdirSync(path, { recursive: true })
              else symlinkSync(link[0] ? join(root, ...link[1]) : link[1].join('/') || '.', path)
            } catch {
              // In the way of an earlier entry: the tree is what could be made.
            }
          }
          const path = [root, ...asked].join('/')
          let kernel: string
          try {
            kernel = realpathSync.native(path)
          } catch {
            return
          }
          expect(await resolvePath(path)).toBe(kernel)
        } finally {
          rmSync(root, { recursive: true, force: true })
        }
      }),
      { numRuns: 150 },
    )
  })

  it('goes on by text where the path does not exist yet', async () => {
    using scratch = new Scratch()
    symlinkSync(scratch.alice, join(scratch.root, 'link'))
    expect(await resolvePath(`${scratch.root}/link/not/yet/../there`)).toBe(`${scratch.alice}/not/there`)
    symlinkSync(`${scratch.alice}/later`, join(scratch.root, 'dangling'))
    expect(await resolvePath(`${scratch.root}/dangling/x`)).toBe(`${scratch.alice}/later/x`)
  })

  it('goes up from where a symlink led, not from where it stood', async () => {
    using scratch = new Scratch()
    const deep = scratch.directory('home', 'alice', 'deep')
    symlinkSync(deep, join(scratch.root, 'link'))
    expect(await resolvePath(`${scratch.root}/link/../secret`)).toBe(`${scratch.alice}/secret`)
  })

  it('refuses loops, relative paths and NUL bytes', async () => {
    using scratch = new Scratch()
    symlinkSync('two', join(scratch.root, 'one'))
    symlinkSync('one', join(scratch.root, 'two'))
    for (const path of [`${scratch.root}/one`, 'relative', '', `${scratch.root}/a\0b`]) {
      expect(await rejection(resolvePath(path))).toMatchObject({ code: 'invalid_request' })
    }
  })
})
