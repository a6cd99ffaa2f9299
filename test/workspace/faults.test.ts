import { execFileSync } from 'node:child_process'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { hostGit, makeOrigin, never, TestBed } from './support.ts'

let bed: TestBed
beforeEach(() => {
  bed = new TestBed()
})
afterEach(() => bed[Symbol.asyncDispose]())

const MISSION = '00000000-0000-4000-8000-000000000001'

/** The life of one seat; `attempt` does each step, once or until it succeeds. */
async function life(
  test: TestBed,
  origin: string,
  workspace = test.workspace,
  attempt = <T>(step: () => Promise<T>) => step(),
): Promise<void> {
  const base = await attempt(() => workspace.resolve(origin, null, never))
  const layer = { seat: { mission_id: MISSION, agent_id: 'builder' }, role: 'write', base, mode: 'overlay' } as const
  await attempt(() => workspace.openMission(MISSION, base))
  await attempt(() => workspace.openSeat(layer))
  for (const subject of ['one', 'two']) {
    const seat = await test.seatIn(MISSION, base)
    await seat.sh(`git reset -q --hard origin/main; echo ${subject} > f; git add f; git commit -q -m ${subject}`)
    const collection = await attempt(() => workspace.collect(layer, never))
    expect(collection).toMatchObject({ outcome: 'delivered', commits: [{ subject }] })
    expect(hostGit(collection.repository, 'rev-parse', 'mission/builder')).toBe(collection.head)
  }
  expect(await attempt(() => workspace.discardToTrash(layer, never))).toMatchObject({ agent_id: 'builder' })
  await attempt(() => workspace.removeSeat(layer.seat))
  await attempt(() => workspace.closeMission(MISSION, base, { repository: true }))
  expect(await attempt(() => workspace.closeMission(MISSION, base, { repository: false }))).toMatchObject({
    branches: ['mission/builder'],
  })
  test.clock.time += 30 * 86_400_000
  await attempt(() => workspace.sweep())
}

/** Every path that is left, without ids that chance made. */
const remains = (test: TestBed): string =>
  execFileSync('find', ['state', 'missions', '-printf', '%y %p\n'], { cwd: test.root, encoding: 'utf8' })
    .replace(/[0-9a-f]{16,40}/g, 'ID')
    .split('\n')
    .toSorted()
    .join('\n')

const STEPS = [
  'mirror.lay',
  'mirror.objects',
  'mirror.refs',
  'mirror.appear',
  'base.build',
  'base.appear',
  'base.hold',
  'trusted.lay',
  'trusted.appear',
  'layer.build',
  'layer.appear',
  'collect.admit',
  'trusted.branch',
  'trash.write',
  'trash.appear',
  'trash.note',
  'layer.detach',
  'layer.remove',
  'trusted.detach',
  'bundle.write',
  'bundle.appear',
  'bundle.note',
  'mission.remove',
  'base.release',
  'trash.sweep',
  'base.sweep',
  'mirror.sweep',
]

it('every step may fail once: its verb is repeated, ends as if nothing had happened, and leaves nothing half-done', async () => {
  const origin = makeOrigin(bed.path('origin'))
  await life(bed, origin)
  await using test = new TestBed()
  const failed: string[] = []
  const faults = (step: string) => {
    if (failed.includes(step)) return
    failed.push(step)
    throw new Error(`injected before ${step}`)
  }
  await life(test, origin, test.another({ faults }), async (attempt) => {
    for (;;) {
      const before = failed.length
      try {
        return await attempt()
      } catch (error) {
        expect([failed.length - before, String(error)]).toEqual([1, `Error: injected before ${failed.at(-1)}`])
      }
    }
  })
  expect(failed.toSorted()).toEqual(STEPS.toSorted())
  expect(remains(test)).toBe(remains(bed))
}, 180_000)
