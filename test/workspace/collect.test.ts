import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
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
    expect(await bed.workspace.collect(seat.layer, never)).toMatchObject({
      outcome: 'delivered',
      uncommitted: ['untracked'],
    })
  })
})

describe('a seat that did nothing', () => {
  it('is told without git, also after its branch moved to what the origin has', async () => {
    const origin = makeOrigin(bed.path('origin'))
    const seat = await bed.seat(origin)
    const nothing = { commits: 0, paths: [] }
    writeFileSync(join(seat.directory, 'upper/.git/config'), '[core]\n\trepositoryformatversion = 999\n') // git would fail
    expect(await bed.workspace.uncollected(seat.layer, never)).toEqual(nothing)
    expect(await bed.workspace.collect(seat.layer, never)).toMatchObject({
      outcome: 'no_change',
      head: seat.layer.base.commit,
      uncommitted: [],
    })
    const empty = await bed.seat(null)
    expect(await bed.workspace.uncollected(empty.layer, never)).toEqual(nothing)
    expect(await bed.workspace.collect(empty.layer, never)).toMatchObject({ outcome: 'no_change', head: null })
  })

  it.each([
    ['a file', 'echo > f', 'f'],
    ['a hidden file', 'echo > .f', '.f'],
    ['a file of two dots', 'echo > ..f', '..f'],
    ['a deletion alone', 'rm README.md', 'README.md'],
    ['a change in place', 'echo >> README.md', 'README.md'],
    ['a directory', 'mkdir d; echo > d/f', 'd/'],
    ['a name like that of a seed', `echo > 'HEAD .git'`, 'HEAD .git'],
    ['a broken link', 'ln -s nowhere l', 'l'],
    ['no repository any more', 'rm -rf .git', '.git'],
  ])('is not taken for one that left %s', async (_what, script, path) => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh(script)
    expect((await bed.workspace.uncollected(seat.layer, never)).paths).toEqual([path])
  })

  it.each([
    [
      'an object on no branch',
      'git commit-tree -m x HEAD^{tree} > .git/mine; git update-ref refs/x/y $(cat .git/mine)',
    ],
    ['a stash', 'echo more >> README.md; git stash -q'],
    ['another branch', 'git checkout -q -b other; git commit -q --allow-empty -m x; git checkout -q mission/builder'],
  ])('is not taken for one that left %s', async (_what, script) => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh(script)
    expect((await bed.workspace.uncollected(seat.layer, never)).commits).toBeGreaterThan(0)
  })
})

describe('collecting', () => {
  const head = (trusted: string) => hostGit(trusted, 'rev-parse', 'refs/heads/mission/builder')

  it('may be repeated, and brings only what is new', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('echo 1 > f; git add f; git commit -q -m one')
    const first = await bed.workspace.collect(seat.layer, never)
    expect(await bed.workspace.collect(seat.layer, never)).toEqual(first)
    await seat.sh('echo 2 > f; git commit -q -am two')
    const second = await bed.workspace.collect(seat.layer, never)
    expect(second.commits.map((commit) => commit.subject)).toEqual(['two', 'one'])
    expect(head(seat.trusted)).toBe(second.head)
    expect(hostGit(seat.trusted, 'fsck', '--strict', '--no-dangling')).toBe('')
  })

  it('takes HEAD where the agent went on elsewhere, and its branch where HEAD went back', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('git checkout -q -b elsewhere; echo 1 > f; git add f; git commit -q -m one')
    expect(await bed.workspace.collect(seat.layer, never)).toMatchObject({
      outcome: 'delivered',
      commits: [{ subject: 'one' }],
    })
    await seat.sh(
      'git checkout -q mission/builder; git merge -q elsewhere; echo 2 > f; git commit -q -am two; git checkout -q --detach HEAD~2',
    )
    expect((await bed.workspace.collect(seat.layer, never)).commits.map((commit) => commit.subject)).toEqual([
      'two',
      'one',
    ])
  })

  it('allows rewritten history, and keeps every former head', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    const heads: string[] = []
    for (const subject of ['one', 'two', 'three']) {
      await seat.sh(`git reset -q --hard origin/main; echo ${subject} > f; git add f; git commit -q -m ${subject}`)
      heads.push((await bed.workspace.collect(seat.layer, never)).head ?? '')
    }
    expect(head(seat.trusted)).toBe(heads[2])
    const former = hostGit(seat.trusted, 'for-each-ref', '--format=%(refname) %(objectname)', 'refs/lazarus/former')
    expect(former.split('\n')).toEqual([
      `refs/lazarus/former/builder/1 ${heads[0]}`,
      `refs/lazarus/former/builder/2 ${heads[1]}`,
    ])
    await seat.sh('git reset -q --hard origin/main')
    expect(await bed.workspace.collect(seat.layer, never)).toMatchObject({ outcome: 'no_change', commits: [] })
    expect(hostGit(seat.trusted, 'for-each-ref', 'refs/lazarus/former').split('\n')).toHaveLength(3)
  })

  it('works while the seat goes on writing', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    const working = seat.sh(
      'i=0; while [ ! -e /artifacts/stop ]; do i=$((i+1)); echo $i > f; git add f; git commit -q -m $i; done; echo $i',
    )
    let collected = 0
    for (let round = 0; round < 10; round += 1) {
      const { commits, outcome } = await bed.workspace.collect(seat.layer, never)
      expect(commits.length).toBeGreaterThanOrEqual(collected)
      expect(['delivered', 'uncommitted', 'no_change']).toContain(outcome)
      collected = commits.length
    }
    writeFileSync(join(bed.missions, seat.layer.seat.mission_id, 'artifacts/builder/stop'), '')
    const made = Number(await working)
    expect((await bed.workspace.collect(seat.layer, never)).commits).toHaveLength(made)
    expect(collected).toBeGreaterThan(0)
  })

  it('keeps the seats of a mission apart', async () => {
    const one = await bed.seat(makeOrigin(bed.path('origin')), { agent_id: 'one' })
    const two = await bed.seatIn(one.layer.seat.mission_id, one.layer.base, { agent_id: 'two' })
    await Promise.all(
      [one, two].map(({ layer, sh }, index) =>
        sh.call(
          [one, two][index],
          `echo ${layer.seat.agent_id} > f; git add f; git commit -q -m ${layer.seat.agent_id}`,
        ),
      ),
    )
    await Promise.all([one, two].map(({ layer }) => bed.workspace.collect(layer, never)))
    expect(hostGit(one.trusted, 'show', 'mission/one:f')).toBe('one')
    expect(hostGit(one.trusted, 'show', 'mission/two:f')).toBe('two')
  })

  it('lists at most 1,000 paths and commits', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh(`i=0; while [ $i -lt 1200 ]; do : > f$i; i=$((i+1)); done
      { echo 'reset refs/heads/mission/builder'; echo 'from refs/heads/mission/builder^0'; echo
        seq 1100 | sed 's/.*/commit refs\\/heads\\/mission\\/builder\\ncommitter a <a@b> 1 +0000\\ndata 1\\nx\\n/'; } | git fast-import --quiet`)
    const collection = await bed.workspace.collect(seat.layer, never)
    expect(collection.uncommitted).toHaveLength(1000)
    expect(collection.commits).toHaveLength(1000)
  })

  it.each(['read', 'audit'] as const)('finds nothing in a seat with the role %s', async (role) => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')), { role })
    expect(await bed.workspace.collect(seat.layer, never)).toMatchObject({ outcome: 'no_change' })
    expect(await bed.workspace.uncollected(seat.layer, never)).toEqual({ commits: 0, paths: [] })
    expect((await bed.workspace.diff(seat.layer, 1e6, never)).text).toHaveLength(0)
  })
})

describe('what is not collected', () => {
  it('counts commits of any ref, HEAD and stash, and names paths; collecting makes them less', async () => {
    const origin = makeOrigin(bed.path('origin'))
    hostGit(origin, 'branch', 'other')
    const seat = await bed.seat(origin)
    const left = () => bed.workspace.uncollected(seat.layer, never)
    expect(await left()).toEqual({ commits: 0, paths: [] })
    await seat.sh(
      'echo 1 > f; git add f; git commit -q -m one; git checkout -q -b side origin/other; echo 2 > g; git add g; git commit -q -m side; git checkout -q mission/builder; echo x > new',
    )
    expect(await left()).toEqual({ commits: 2, paths: ['new'] })
    await bed.workspace.collect(seat.layer, never)
    expect(await left()).toEqual({ commits: 1, paths: ['new'] })
    await seat.sh('git branch -q -D side; git stash -q -u')
    expect((await left()).commits).toBeGreaterThan(0)
    await seat.sh(
      'git stash drop -q; git tag keep $(git commit-tree -m tagged "HEAD^{tree}"); git checkout -q --detach; git commit -q --allow-empty -m detached; git checkout -q --detach HEAD~1',
    )
    expect(await left()).toEqual({ commits: 1, paths: [] })
  })

  it('is everything when git cannot read the worktree', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('rm -rf .git')
    expect(await bed.workspace.uncollected(seat.layer, never)).toEqual({ commits: 0, paths: ['.git'] })
    await expect(bed.workspace.collect(seat.layer, never)).rejects.toMatchObject({ code: 'bundle_refused' })
  })
})

describe('the difference', () => {
  it.each(['overlay', 'clone'] as const)('holds committed and uncommitted work against the base (%s)', async (mode) => {
    const seat = await bed.seat(makeOrigin(bed.path('origin'), { a: 'a\n', b: 'b\n', c: 'c\n' }), { mode })
    await seat.sh(
      'echo 2 >> a; git commit -q -am a; echo 3 >> b; rm c; echo new > d; printf "\\0" > bin; echo ignored > i; echo i > .gitignore; chmod 000 d',
    )
    const { text, truncated } = await bed.workspace.diff(seat.layer, 1e6, never)
    const diff = Buffer.from(text).toString('utf8')
    for (const part of ['+2\n', '+3\n', 'deleted file mode 100644', 'Binary files', '+++ b/.gitignore'])
      expect(diff).toContain(part)
    expect(diff).not.toContain('ignored')
    expect(truncated).toBe(false)
  })

  it('is cut where it is longer than asked for', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('seq 1 100000 > long')
    const { text, truncated } = await bed.workspace.diff(seat.layer, 1000, never)
    expect(text).toHaveLength(1000)
    expect(truncated).toBe(true)
  })

  it('leaves nothing behind in the trusted repository', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('echo x > x')
    await bed.workspace.diff(seat.layer, 1e6, never)
    expect(readdirSync(seat.trusted).toSorted()).toEqual(['HEAD', 'config', 'objects', 'packed-refs', 'refs'])
    expect(hostGit(seat.trusted, 'count-objects', '-v')).toMatch(/count: 0\n[\s\S]*packs: 0/)
  })
})
