import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { expandHomes } from '../../src/homes/registry.ts'
import { Scratch } from './scratch.ts'

const paths = async (globs: string[]) => (await expandHomes(globs)).map((home) => home.path)

describe('the registry of homes', () => {
  it('expands globs and plain paths; what is missing, and what is a file, is no home', async () => {
    using scratch = new Scratch()
    const { root, alice, bob } = scratch
    writeFileSync(join(root, 'home', 'README'), '')
    expect(await paths([`${root}/home/*`])).toEqual([alice, bob])
    expect(await paths([`${root}/home/al*`, `${root}/home/*b`, `${root}/nowhere/*`, `${root}/missing`])).toEqual([
      alice,
      bob,
    ])
    expect(await paths([`${root}/*/alice`, `${root}/home/./alice/`])).toEqual([alice])
    expect(await paths([])).toEqual([])
  })

  it('takes every other character as it is', async () => {
    using scratch = new Scratch()
    const odd = scratch.home('a+b?[c](d).e$^{2}|f\\g')
    expect(await paths([`${scratch.root}/home/a+b?[c](d).e$^{2}|*`])).toEqual([odd])
    expect(await paths([`${scratch.root}/home/.*`])).toEqual([])
  })

  it('counts hidden directories and names with a newline in', async () => {
    using scratch = new Scratch()
    const hidden = scratch.home('.hidden')
    const newline = scratch.home('two\nlines')
    expect(await paths([`${scratch.root}/home/*`])).toEqual([hidden, scratch.alice, scratch.bob, newline])
  })

  it('knows a symlinked home by its name and by where it is; a dangling one by its name', async () => {
    using scratch = new Scratch()
    const real = scratch.directory('disk', 'carol')
    const link = join(scratch.root, 'home', 'carol')
    const dangling = join(scratch.root, 'home', 'dave')
    symlinkSync('../disk/carol', link)
    symlinkSync('/nowhere/at/all', dangling)
    expect(await expandHomes([`${scratch.root}/home/[cd]*`, `${scratch.root}/home/*a*`])).toEqual([
      { name: scratch.alice, path: scratch.alice, linked: false },
      { name: link, path: real, linked: true },
      { name: dangling, path: dangling, linked: true },
    ])
  })

  it('lets the parent stand for a home whose name is not UTF-8', async () => {
    using scratch = new Scratch()
    const parent = join(scratch.root, 'home')
    mkdirSync(Buffer.concat([Buffer.from(`${parent}/`), Buffer.from([0x66, 0xff, 0x66])]))
    expect(await paths([`${parent}/*`])).toEqual([parent, scratch.alice, scratch.bob])
  })

  it('finds nothing in a directory that may not be listed', async () => {
    using scratch = new Scratch()
    const closed = scratch.directory('closed')
    mkdirSync(join(closed, 'erin'))
    chmodSync(closed, 0)
    expect(await paths([`${closed}/*`])).toEqual([])
    chmodSync(closed, 0o700)
    expect(await paths([`${closed}/*`])).toEqual([join(closed, 'erin')])
    rmSync(closed, { recursive: true })
  })
})
