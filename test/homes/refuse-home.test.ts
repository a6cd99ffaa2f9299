import { spawnSync } from 'node:child_process'
import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { rejection, Scratch } from './scratch.ts'

const REFUSED = { code: 'home_mount_refused' }

describe('refuseHome', () => {
  it('refuses a home, its parents and what lies in it; lets everything else through', async () => {
    using scratch = new Scratch()
    const watch = scratch.watch()
    const { root, alice } = scratch
    for (const path of [
      alice,
      `${alice}/`,
      `${alice}/project`,
      `${alice}/not/yet`,
      `${root}/home`,
      root,
      '/',
      `${root}/x/../home/alice`,
    ]) {
      expect(await rejection(watch.refuseHome(path)), path).toMatchObject(REFUSED)
    }
    for (const path of [`${root}/elsewhere`, `${alice}x`, `${root}/home2`, '/usr', scratch.seals]) {
      expect(await rejection(watch.refuseHome(path)), path).toBeUndefined()
    }
  })

  it('says what leads where', async () => {
    using scratch = new Scratch()
    const link = join(scratch.root, 'innocent')
    symlinkSync(join(scratch.alice, 'project'), link)
    expect(await rejection(scratch.watch().refuseHome(link))).toMatchObject({
      ...REFUSED,
      message: `${link} (which leads to ${scratch.alice}/project) lies in the home ${scratch.alice}`,
      details: { home: scratch.alice, relation: 'lies in' },
    })
  })

  it('refuses through a symlink in any component, in chains, and before the end exists', async () => {
    using scratch = new Scratch()
    const { root, alice } = scratch
    symlinkSync('home', join(root, 'houses'))
    symlinkSync('houses/alice', join(root, 'chain'))
    symlinkSync(`${alice}/later`, join(root, 'dangling'))
    mkdirSync(join(root, 'plain'))
    symlinkSync('..', join(root, 'plain', 'up'))
    const watch = scratch.watch()
    for (const path of [
      'houses/bob/x',
      'chain',
      'chain/deep/er',
      'dangling',
      'dangling/x',
      'plain/up/home/alice',
      'plain/up',
    ]) {
      expect(await rejection(watch.refuseHome(join(root, '.', path))), path).toMatchObject(REFUSED)
    }
    expect(await rejection(watch.refuseHome(join(root, 'plain')))).toBeUndefined()
  })

  it('protects a symlinked home under its name and where it is', async () => {
    using scratch = new Scratch()
    const { root } = scratch
    const real = scratch.directory('disk', 'carol')
    symlinkSync(real, join(root, 'home', 'carol'))
    const watch = scratch.watch()
    for (const path of [real, join(root, 'disk'), join(real, 'x'), join(root, 'home/carol')]) {
      expect(await rejection(watch.refuseHome(path)), path).toMatchObject(REFUSED)
    }
  })

  it('sees at the moment of use what a path became', async () => {
    using scratch = new Scratch()
    const watch = scratch.watch()
    const project = scratch.directory('project')
    expect(await rejection(watch.refuseHome(project))).toBeUndefined()
    rmSync(project, { recursive: true })
    symlinkSync(scratch.alice, project)
    expect(await rejection(watch.refuseHome(project))).toMatchObject(REFUSED)
    renameSync(scratch.alice, join(scratch.root, 'home', 'zoe'))
    expect(await rejection(watch.refuseHome(join(scratch.root, 'home', 'zoe')))).toMatchObject(REFUSED)
  })

  it('lets through what lies in a directory of the pit inside a home, also by a symlink to it', async () => {
    using scratch = new Scratch()
    const state = scratch.directory('home', 'alice', '.local', 'state')
    symlinkSync(state, join(scratch.root, 'state'))
    for (const exempt of [state, join(scratch.root, 'state')]) {
      const watch = scratch.watch({ exempt: [exempt] })
      expect(await rejection(watch.refuseHome(join(state, 'missions', 'x')))).toBeUndefined()
      expect(await rejection(watch.refuseHome(join(scratch.root, 'state', 'x')))).toBeUndefined()
      expect(await rejection(watch.refuseHome(join(state, '..')))).toMatchObject(REFUSED)
      expect(await rejection(watch.refuseHome(scratch.alice))).toMatchObject(REFUSED)
    }
    expect(await rejection(scratch.watch().refuseHome(join(state, 'missions')))).toMatchObject(REFUSED)
  })

  it('refuses a home under the other name that a bind mount gives it; without the mount the name is harmless', () => {
    using scratch = new Scratch()
    scratch.directory('home', 'alice', 'project')
    const [whole, part, around] = [
      scratch.directory('whole'),
      scratch.directory('part'),
      scratch.directory('around', 'inner'),
    ]
    const script = fileURLToPath(new URL('./refuse-paths.ts', import.meta.url))
    const asked = [
      whole,
      join(whole, 'x'),
      part,
      join(part, 'deep'),
      around,
      join(scratch.root, 'around'),
      scratch.seals,
    ]
    const verdicts = (mounts: string) => {
      const run = `${mounts} exec "$@"`
      const args = ['-Urm', 'sh', '-euc', run, 'sh', process.execPath, script, scratch.root, ...asked]
      const child = spawnSync('unshare', args, {
        env: { PATH: process.env.PATH, R: scratch.root },
        encoding: 'utf8',
      })
      expect(child.stderr).toBe('')
      return JSON.parse(child.stdout)
    }
    expect(verdicts('')).toEqual([null, null, null, null, null, null, null])
    const mounts = `mount --bind "$R/home/alice" "$R/whole"; mount --bind "$R/home/alice/project" "$R/part"; mount --bind "$R/home" "$R/around/inner";`
    expect(verdicts(mounts)).toEqual(['is', 'lies in', 'lies in', 'lies in', 'contains', 'contains', null])
  })
})
