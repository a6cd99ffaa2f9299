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
async function life(test: TestBed, origin: string, workspace = test.workspace, attempt = <T>(step: () => Promise<T>) => step()): Promise<void> {
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
  await attempt(() => workspace.closeMission(MISSION, base, { repository: false }))
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

async function stepsOf(origin: string): Promise<readonly string[]> {
  await using test = new TestBed()
  const steps: string[] = []
  await life(test, origin, test.another({ faults: (step) => steps.push(step) }))
  return steps
}

it('any step may fail once: the verb is repeated, ends as if nothing had happened, and leaves nothing half-done', async () => {
  const origin = makeOrigin(bed.path('origin'))
  const steps = await stepsOf(origin)
  expect(new Set(steps)).toEqual(
    new Set([
      'mirror.lay', 'mirror.objects', 'mirror.refs', 'mirror.appear', 'base.build', 'base.appear', 'base.hold', 'trusted.lay', 'trusted.appear', 'layer.build', 'layer.appear',
      'collect.admit', 'trusted.branch', 'trash.write', 'trash.appear', 'trash.note', 'layer.detach', 'layer.remove', 'trusted.detach', 'mission.remove', 'base.release', 'trash.sweep', 'base.sweep',
    ]),
  )
  await life(bed, origin)
  const undisturbed = remains(bed)
  for (const [index, step] of steps.entries()) {
    await using test = new TestBed()
    let reached = 0
    let failures = 0
    const workspace = test.another({
      faults: () => {
        if (reached++ === index) throw new Error(`injected before ${step}`)
      },
    })
    await life(test, origin, workspace, async (attempt) => {
      try {
        return await attempt()
      } catch (error) {
        expect(String(error)).toContain(`injected before ${step}`)
        failures += 1
        return attempt()
      }
    })
    expect([step, failures]).toEqual([step, 1])
    expect([step, remains(test)]).toEqual([step, undisturbed])
  }
}, 180_000)
