import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { commitFile, hostGit, makeOrigin, never, TestBed, type TestSeat } from './support.ts'

let bed: TestBed
beforeEach(() => {
  bed = new TestBed()
})
afterEach(() => bed[Symbol.asyncDispose]())

const DAY = 86_400_000
const commit = (subject: string) => `echo ${subject} > ${subject}; git add ${subject}; git commit -q -m ${subject}`

async function end({ layer }: TestSeat, workspace = bed.workspace) {
  await workspace.removeSeat(layer.seat)
  return workspace.closeMission(layer.seat.mission_id, layer.base, { repository: false })
}

it('what was collected outlives the mission as a bundle that a checkout with the base can fetch', async () => {
  const origin = makeOrigin(bed.path('origin'), { 'big.bin': 'x'.repeat(500_000) })
  const ada = await bed.seat(origin, { agent_id: 'ada' })
  const bob = await bed.seatIn(ada.layer.seat.mission_id, ada.layer.base, { agent_id: 'bob' })
  await ada.sh(commit('one'))
  await bed.workspace.collect(ada.layer, never)
  await ada.sh('git commit -q --amend -m rewritten')
  const { head } = await bed.workspace.collect(ada.layer, never)
  await bob.sh(`git checkout -q --orphan mission/apart; git rm -rfq .; ${commit('two')}; git branch -f mission/bob`)
  await bed.workspace.collect(bob.layer, never)
  await bed.workspace.removeSeat(bob.layer.seat)
  const kept = await end(ada)

  const content = readFileSync(kept!.path)
  expect(kept).toEqual({
    path: join(bed.state, 'trash', ada.layer.seat.mission_id, 'repository.bundle'),
    branches: ['mission/ada', 'mission/bob'],
    bytes: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
    keep_until: new Date(bed.clock.time + 7 * DAY).toISOString(),
  })
  expect(existsSync(ada.trusted)).toBe(false)
  commitFile(origin, 'later', 'the checkout went on')
  hostGit(origin, 'fetch', '-q', kept!.path, 'mission/ada')
  expect(hostGit(origin, 'rev-parse', 'FETCH_HEAD')).toBe(head)
  expect(hostGit(origin, 'log', '--format=%s', 'FETCH_HEAD')).toBe('rewritten\nfirst')
  hostGit(origin, 'fetch', '-q', kept!.path, 'mission/bob', 'refs/lazarus/former/ada/1:refs/heads/former')
  expect(hostGit(origin, 'log', '--format=%s', 'former')).toBe('one\nfirst')
  // Without what the base has: a checkout that lacks the base is told so, and no byte of its large file is inside.
  const stranger = makeOrigin(bed.path('stranger'))
  expect(() => hostGit(stranger, 'fetch', '-q', kept!.path, 'mission/ada')).toThrow(/lacks these prerequisite commits/)
  expect(content.length).toBeLessThan(3000)
})

it('without a base everything is inside', async () => {
  const seat = await bed.seat(null)
  await seat.sh(commit('one'))
  const { head } = await bed.workspace.collect(seat.layer, never)
  const kept = await end(seat)
  const stranger = makeOrigin(bed.path('stranger'))
  hostGit(stranger, 'fetch', '-q', kept!.path, 'mission/builder')
  expect(hostGit(stranger, 'rev-parse', 'FETCH_HEAD')).toBe(head)
})

it('there is none where nothing was collected, and nothing beyond the base', async () => {
  const idle = await bed.seat(makeOrigin(bed.path('origin')))
  await bed.workspace.collect(idle.layer, never)
  expect(await end(idle)).toBeNull()
  const lost = await bed.seat(bed.path('origin'))
  await lost.sh(commit('never-collected'))
  expect(await end(lost)).toBeNull()
  expect(existsSync(join(bed.state, 'trash'))).toBe(false)
})

it('work that was taken back is in it as a former head alone', async () => {
  const seat = await bed.seat(makeOrigin(bed.path('origin')))
  await seat.sh(commit('one'))
  await bed.workspace.collect(seat.layer, never)
  await seat.sh('git reset -q --hard HEAD~1')
  await bed.workspace.collect(seat.layer, never)
  const kept = await end(seat)
  expect(kept?.branches).toEqual([])
  expect(hostGit(bed.root, 'bundle', 'list-heads', kept!.path)).toMatch(/ refs\/lazarus\/former\/builder\/1$/)
})

it('a repeated close finds it, also when the repository is gone; a kept repository leaves none', async () => {
  const origin = makeOrigin(bed.path('origin'))
  const seat = await bed.seat(origin)
  await seat.sh(commit('one'))
  await bed.workspace.collect(seat.layer, never)
  const { seat: name, base } = seat.layer
  await bed.workspace.removeSeat(name)
  expect(await bed.workspace.closeMission(name.mission_id, base, { repository: true })).toBeNull()
  expect(existsSync(join(bed.state, 'trash'))).toBe(false)
  const killed = bed.another({
    faults: (step) => {
      if (step === 'mission.remove') throw new Error('killed')
    },
  })
  await expect(killed.closeMission(name.mission_id, base, { repository: false })).rejects.toThrow('killed')
  expect(existsSync(seat.trusted)).toBe(true)
  const kept = await bed.workspace.closeMission(name.mission_id, base, { repository: false })
  expect(kept?.branches).toEqual(['mission/builder'])
  expect(existsSync(seat.trusted)).toBe(false)
  bed.clock.time += DAY
  expect(await bed.workspace.closeMission(name.mission_id, base, { repository: false })).toEqual(kept)
  expect(readdirSync(join(bed.state, 'trash', name.mission_id)).toSorted()).toEqual([
    'repository.bundle',
    'repository.bundle.json',
  ])
  bed.clock.time += 6 * DAY
  await bed.workspace.sweep()
  expect(readdirSync(join(bed.state, 'trash'))).toEqual([])
})
