import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hostGit, makeOrigin, never, TestBed } from './support.ts'

let bed: TestBed
beforeEach(() => {
  bed = new TestBed()
})
afterEach(() => bed[Symbol.asyncDispose]())

describe.each(['overlay', 'clone'] as const)('collecting from a seat with a private %s', (mode) => {
  it('delivers commits to the branch of the agent in the trusted repository', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')), { mode })
    expect(await seat.sh('git status --porcelain')).toBe('')
    await seat.sh('echo new > new.txt; git add -A; git commit -q -m "Add a file"')
    const collection = await bed.workspace.collect(seat.layer, never)
    expect(collection).toMatchObject({
      outcome: 'delivered',
      branch: 'mission/builder',
      commits: [{ subject: 'Add a file', author: 'builder' }],
      uncommitted: [],
      diffstat: { files: 1, insertions: 1, deletions: 0 },
    })
    expect(hostGit(seat.trusted, 'rev-parse', 'refs/heads/mission/builder')).toBe(collection.head)
    expect(hostGit(seat.trusted, 'show', 'mission/builder:new.txt')).toBe('new')
  })

  it('tells apart nothing, something uncommitted, and something delivered', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')), { mode })
    expect(await bed.workspace.collect(seat.layer, never)).toMatchObject({ outcome: 'no_change', commits: [] })
    await seat.sh('echo more >> README.md; echo x > untracked')
    const dirty = await bed.workspace.collect(seat.layer, never)
    expect(dirty).toMatchObject({ outcome: 'uncommitted', commits: [] })
    expect(dirty.uncommitted.toSorted()).toEqual(['README.md', 'untracked'])
    await seat.sh('git commit -q -am wip')
    expect(await bed.workspace.collect(seat.layer, never)).toMatchObject({ outcome: 'delivered', uncommitted: ['untracked'] })
  })
})
