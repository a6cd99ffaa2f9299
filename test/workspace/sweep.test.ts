import { existsSync, mkdirSync, readdirSync, rmSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { commitFile, hostGit, makeOrigin, never, TestBed, type TestSeat } from './support.ts'

let bed: TestBed
beforeEach(() => {
  bed = new TestBed()
  bed.clock.time = Date.now()
})
afterEach(() => bed[Symbol.asyncDispose]())

const DAY = 86_400_000
const mirrors = () => readdirSync(join(bed.state, 'repos'))
const bases = () => readdirSync(join(bed.state, 'bases'))

async function close({ layer }: TestSeat, keep = { repository: false }) {
  await bed.workspace.removeSeat(layer.seat)
  await bed.workspace.closeMission(layer.seat.mission_id, layer.base, keep)
}

describe('a mirror', () => {
  it('stays as long as a base uses it, and then for thirty days after its last use', async () => {
    const origin = makeOrigin(bed.path('origin'))
    const seat = await bed.seat(origin)
    bed.clock.time += 60 * DAY
    await bed.workspace.sweep()
    expect([mirrors().length, bases().length]).toEqual([1, 1])
    await seat.sh('echo x > x; git add x; git commit -q -m x; git fsck')
    expect(await bed.workspace.collect(seat.layer, never)).toMatchObject({ outcome: 'delivered' })
    await close(seat)
    await bed.workspace.resolve(origin, null, never)
    bed.clock.time += 29 * DAY
    await bed.workspace.sweep()
    expect([mirrors().length, bases().length]).toEqual([1, 0])
    bed.clock.time += DAY
    await bed.workspace.sweep()
    expect(mirrors()).toEqual([])
    // Used again, it is made again.
    const again = await bed.seat(origin)
    expect(await again.sh('cat README.md; git log --format=%s')).toBe('hello\nfirst')
  })

  it('is not missed by the archive of a mission', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin'), { a: 'a' }))
    await seat.sh('echo x > x; git add x; git commit -q -m x')
    await bed.workspace.collect(seat.layer, never)
    await close(seat, { repository: true })
    bed.clock.time += 60 * DAY
    await bed.workspace.sweep()
    expect(mirrors()).toEqual([])
    expect(hostGit(seat.trusted, 'fsck', '--full')).toBe('')
    expect(hostGit(seat.trusted, 'ls-tree', '--name-only', 'mission/builder')).toBe('a\nx')
  })

  it('is not taken away from under a fetch, nor before the base that was asked for is held', async () => {
    const origin = makeOrigin(bed.path('origin'))
    await bed.workspace.resolve(origin, null, never)
    bed.clock.time += 60 * DAY
    commitFile(origin, 'b', 'b')
    const [base] = await Promise.all([bed.workspace.resolve(origin, null, never), bed.workspace.sweep()])
    await bed.workspace.sweep()
    expect(mirrors()).toHaveLength(1)
    await bed.workspace.openMission('00000000-0000-4000-8000-000000000001', base)
  })

  it('of an older version, without a note of its use, gets the whole time from now', async () => {
    await bed.workspace.resolve(makeOrigin(bed.path('origin')), null, never)
    rmSync(join(bed.state, 'repos', mirrors()[0]!, 'used'))
    bed.clock.time += 60 * DAY
    await bed.workspace.sweep()
    expect(mirrors()).toHaveLength(1)
    bed.clock.time += 30 * DAY
    await bed.workspace.sweep()
    expect(mirrors()).toEqual([])
  })
})

it('a mission that never came to be holds no base, once that is sure', async () => {
  const seat = await bed.seat(makeOrigin(bed.path('origin')))
  const isKnown = () => false
  await bed.workspace.sweep(isKnown)
  bed.clock.time += 58 * 60_000
  await bed.workspace.sweep(isKnown)
  expect(bases()).toHaveLength(1)
  bed.clock.time += 5 * 60_000
  await bed.workspace.sweep((id) => id === seat.layer.seat.mission_id)
  expect(bases()).toHaveLength(1)
  await bed.workspace.sweep(isKnown)
  expect(bases()).toEqual([])
})

describe('the inbox', () => {
  it('loses copies that nobody used for thirty days, and what an interrupted hand-over left', async () => {
    const inbox = join(bed.state, 'inbox')
    const aged = (name: string, age_ms: number) => {
      mkdirSync(join(inbox, name, 'objects'), { recursive: true })
      const seconds = (bed.clock.time - age_ms) / 1000
      utimesSync(join(inbox, name), seconds, seconds)
    }
    aged('old-1.git', 30 * DAY + 1000)
    aged('young-1.git', 29 * DAY)
    aged('.new-old', 2 * 3_600_000)
    aged('.new-young', 60_000)
    await bed.workspace.sweep()
    expect(readdirSync(inbox).toSorted()).toEqual(['.new-young', 'young-1.git'])
    expect(existsSync(join(inbox, 'young-1.git/objects'))).toBe(true)
  })
})
