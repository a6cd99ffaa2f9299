import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { commitFile, hostGit, makeOrigin, never, TestBed } from './support.ts'

let bed: TestBed
beforeEach(() => {
  bed = new TestBed()
})
afterEach(() => bed[Symbol.asyncDispose]())

const bases = () =>
  execFileSync('find', [join(bed.state, 'bases'), '-mindepth', '2', '-maxdepth', '2', '-printf', '%f\n'], {
    encoding: 'utf8',
  })
    .split('\n')
    .filter(Boolean)

describe('a base', () => {
  it('gives a seat everything that git needs at once', async () => {
    const origin = makeOrigin(bed.path('origin'), { 'a.txt': 'a\n', 'd/b.sh': '#!/bin/sh\n' })
    hostGit(origin, 'branch', 'other')
    hostGit(origin, 'tag', 'v1')
    const seat = await bed.seat(origin)
    expect(await seat.sh('git status --porcelain=v2 --branch')).toBe(
      `# branch.oid ${hostGit(origin, 'rev-parse', 'HEAD')}\n# branch.head mission/builder`,
    )
    expect(await seat.sh('git branch -a --format="%(refname:short)"; git tag; git log --format=%s origin/other')).toBe(
      'mission/builder\norigin/main\norigin/other\nv1\nfirst',
    )
    expect(
      await seat.sh(
        'echo x >> a.txt; git stash -q; git stash list; git stash pop -q; git checkout -q -b mine; git commit -q -am mine; git log -1 --format="%an <%ae>"',
      ),
    ).toBe(
      `stash@{0}: WIP on mission/builder: ${hostGit(origin, 'rev-parse', '--short', 'HEAD')} first\nbuilder <builder@${seat.layer.seat.mission_id}.lazarus.invalid>`,
    )
    expect(await seat.sh('git fsck --no-dangling 2>&1; git gc --auto 2>&1; git status --porcelain')).toBe('')
  })

  it('notices an edit of the same size in the second of the checkout', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin'), { 'a.txt': 'aaaa\n' }))
    expect(await seat.sh('printf "bbbb\\n" > a.txt; git status --porcelain')).toBe('M a.txt')
  })

  it('is shared, and no seat can change it or see the changes of another', async () => {
    const one = await bed.seat(makeOrigin(bed.path('origin')), { agent_id: 'one' })
    const two = await bed.seatIn(one.layer.seat.mission_id, one.layer.base, { agent_id: 'two' })
    await one.sh(
      'echo changed > README.md; rm -rf .git/objects/info; git -c core.bare=false status >/dev/null 2>&1 || :',
    )
    expect(await two.sh('cat README.md; git status --porcelain; cat .git/objects/info/alternates')).toBe(
      'hello\n/run/lazarus-git/objects',
    )
    expect((await two.try('touch /run/lazarus-git/objects/x')).stderr).toContain('Read-only')
  })

  it('leaves LFS pointers pointers and submodules empty directories', async () => {
    const library = makeOrigin(bed.path('library'))
    const origin = makeOrigin(bed.path('origin'), {
      '.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text\n',
      'big.bin': 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n',
    })
    hostGit(origin, '-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', library, 'sub')
    hostGit(origin, 'commit', '-q', '-m', 'sub')
    const seat = await bed.seat(origin)
    expect(await seat.sh('git status --porcelain; head -1 big.bin; ls -A sub | wc -l')).toBe(
      'version https://git-lfs.github.com/spec/v1\n0',
    )
    await seat.sh('echo x > x; git add -A; git commit -q -m x')
    expect(await bed.workspace.collect(seat.layer, never)).toMatchObject({
      outcome: 'delivered',
      diffstat: { files: 1 },
    })
  })

  it('keeps odd names, modes, symlinks and line endings as they are', async () => {
    const origin = makeOrigin(bed.path('origin'), {
      'ünï code': '1',
      ' -x': '2',
      'line\nbreak': '3',
      'crlf.txt': 'a\r\n',
      'deep/er/st/f': '4',
    })
    writeFileSync(join(origin, 'run.sh'), '#!/bin/sh\n', { mode: 0o755 })
    execFileSync('ln', ['-s', '/etc/passwd', join(origin, 'link')])
    execFileSync('sh', ['-c', 'touch "$(printf "latin\\351")"'], { cwd: origin })
    hostGit(origin, 'add', '-A')
    hostGit(origin, 'commit', '-q', '-m', 'odd')
    const seat = await bed.seat(origin)
    expect(await seat.sh('git status --porcelain; readlink link; stat -c %a run.sh "ünï code"')).toBe(
      '/etc/passwd\n755\n644',
    )
  })

  it('works for an empty mission, with a branch that is not born yet', async () => {
    const seat = await bed.seat(null)
    expect(seat.mounts.map((mount) => mount.target)).toEqual([
      '/workspace',
      '/home/agent',
      '/artifacts',
      '/mission',
      '/mission/artifacts',
    ])
    expect(await seat.sh('git symbolic-ref HEAD; git status --porcelain')).toBe('refs/heads/mission/builder')
    expect(await bed.workspace.collect(seat.layer, never)).toMatchObject({
      outcome: 'no_change',
      head: null,
      base: null,
    })
    await seat.sh('echo x > x')
    expect(await bed.workspace.collect(seat.layer, never)).toMatchObject({ outcome: 'uncommitted', uncommitted: ['x'] })
    expect(Buffer.from((await bed.workspace.diff(seat.layer, 1e6, never)).text).toString()).toContain('+++ b/x')
    await seat.sh('git add x; git commit -q -m one')
    expect(await bed.workspace.collect(seat.layer, never)).toMatchObject({
      outcome: 'delivered',
      commits: [{ subject: 'one' }],
      diffstat: { files: 1, insertions: 1 },
    })
    expect(hostGit(seat.trusted, 'show', 'mission/builder:x')).toBe('x')
  })
})

describe('sweeping bases', () => {
  it('keeps what a mission holds or what was used of late, and deletes the rest', async () => {
    const origin = makeOrigin(bed.path('origin'))
    const held = await bed.seat(origin)
    commitFile(origin, 'b', 'b')
    const fresh = await bed.workspace.resolve(origin, null, never)
    await bed.workspace.sweep()
    expect(bases()).toHaveLength(2)
    bed.clock.time += 2 * 3_600_000
    await bed.workspace.sweep()
    expect(bases()).toEqual([held.layer.base.commit])
    await bed.workspace.removeSeat(held.layer.seat)
    await bed.workspace.closeMission(held.layer.seat.mission_id, held.layer.base, { repository: false })
    await bed.workspace.sweep()
    expect(bases()).toEqual([])
    await bed.workspace.openMission('00000000-0000-4000-8000-000000000001', fresh) // made again from the mirror
    expect(bases()).toEqual([fresh.commit])
  })

  it('deletes what interrupted fetches and passages left, in time', async () => {
    bed.clock.time = Date.now()
    await bed.workspace.resolve(makeOrigin(bed.path('origin')), null, never)
    const [mirror = ''] = readdirSync(join(bed.state, 'repos'))
    const leftovers = ['repos/.new-x', `repos/${mirror}/incoming-x/pack`, 'airlock/x/root'].map((name) =>
      join(bed.state, name),
    )
    for (const path of leftovers) mkdirSync(path, { recursive: true })
    await bed.workspace.sweep()
    expect(leftovers.map(existsSync)).toEqual([true, true, true])
    bed.clock.time += 2 * 3_600_000
    await bed.workspace.sweep()
    expect(leftovers.map(existsSync)).toEqual([false, false, false])
  })

  it('deletes what an interrupted build left, in time', async () => {
    const place = join(bed.state, 'bases', 'k')
    mkdirSync(join(place, '.new-x-1', 'tree'), { recursive: true })
    bed.clock.time = Date.now()
    await bed.workspace.sweep()
    expect(readdirSync(place)).toHaveLength(1)
    bed.clock.time += 2 * 3_600_000
    await bed.workspace.sweep()
    expect(existsSync(place)).toBe(false)
  })
})

it('keeps objects that bases use although the origin dropped them', async () => {
  const origin = makeOrigin(bed.path('origin'))
  const seat = await bed.seat(origin)
  hostGit(origin, 'commit', '-q', '--amend', '-m', 'rewritten')
  hostGit(origin, 'reflog', 'expire', '--expire=now', '--all')
  hostGit(origin, 'gc', '-q', '--prune=now')
  await bed.workspace.resolve(origin, null, never)
  expect(await seat.sh('git log --format=%s; git fsck --no-dangling 2>&1')).toBe('first')
  expect(existsSync(seat.trusted)).toBe(true)
})
