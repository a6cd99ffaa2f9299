import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { commitFile, GIT_ENVIRONMENT, hostGit, makeOrigin, never, TestBed } from './support.ts'

let bed: TestBed
beforeEach(() => {
  bed = new TestBed()
  bed.clock.time = Date.now()
})
afterEach(() => bed[Symbol.asyncDispose]())

const mirror = () => join(bed.state, 'repos', readdirSync(join(bed.state, 'repos'))[0]!)
const packs = () => readdirSync(join(mirror(), 'objects', 'pack')).filter((name) => name.endsWith('.pack'))
const objects = () => hostGit(mirror(), 'cat-file', '--batch-all-objects', '--batch-check')

/** As many fetches would, each of which brings a pack; and what they brought was forgotten too. */
function addPacks(count: number): void {
  const script = `
    for n in $(seq ${count}); do echo $n | git hash-object -w --stdin | git pack-objects -q objects/pack/pack; done
    git prune-packed -q`
  execFileSync('sh', ['-c', script], { cwd: mirror(), env: GIT_ENVIRONMENT, stdio: 'pipe' })
}

describe('the packs of a mirror', () => {
  it('are joined when there are many; what the origin forgot and others borrow stays readable, also meanwhile', async () => {
    const origin = makeOrigin(bed.path('origin'))
    hostGit(origin, 'checkout', '-q', '-b', 'forgotten')
    const forgotten = commitFile(origin, 'forgotten', 'borrowed\n')
    const seat = await bed.seat(origin, { ref: 'forgotten' })
    hostGit(origin, 'checkout', '-q', 'main')
    hostGit(origin, 'branch', '-q', '-D', 'forgotten')
    commitFile(origin, 'later', '')
    await bed.workspace.resolve(origin, null, never)
    addPacks(51)
    expect(hostGit(mirror(), 'rev-list', '--all').split('\n'), 'nothing refers to it any more').not.toContain(forgotten)
    expect(packs().length).toBeGreaterThan(50)
    const before = objects()

    const reads = `
      n=0
      while [ $n -lt 200 ]; do
        [ "$(git cat-file -p ${forgotten}:forgotten)" = borrowed ] || exit 1
        n=$((n+1))
      done`
    const [reading] = await Promise.all([seat.try(reads), bed.workspace.sweep()])
    expect(reading).toMatchObject({ exit_code: 0, stderr: '' })
    expect(packs().length).toBeLessThan(10)
    expect(objects()).toBe(before)
    expect(await seat.sh('echo more >>forgotten; git commit -qam more; git fsck --full --no-dangling')).toBe('')
    expect(await bed.workspace.collect(seat.layer, never)).toMatchObject({ outcome: 'delivered' })
    expect(hostGit(seat.trusted, 'fsck', '--full', '--no-dangling')).toBe('')
  })

  it('are left alone while they are few', async () => {
    await bed.workspace.resolve(makeOrigin(bed.path('origin')), null, never)
    addPacks(49)
    const before = packs()
    await bed.workspace.sweep()
    expect(before).toHaveLength(50)
    expect(packs()).toEqual(before)
  })

  it('that a repack left which was killed are removed, those of one that goes on are not', async () => {
    await bed.workspace.resolve(makeOrigin(bed.path('origin')), null, never)
    const place = join(mirror(), 'objects', 'pack')
    const [old, young] = [join(place, 'tmp_pack_old123'), join(place, '.tmp-42-pack-young.pack')]
    for (const path of [old, young]) writeFileSync(path, 'half')
    const then = Date.now() / 1000 - 7200
    utimesSync(old, then, then)
    await bed.workspace.sweep()
    expect([old, young].map((path) => existsSync(path))).toEqual([false, true])
  })
})
