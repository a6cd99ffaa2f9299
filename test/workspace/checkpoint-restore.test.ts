import { copyFileSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { restore, take } from './checkpoint-support.ts'
import { hostGit, makeOrigin, never, TestBed, type TestSeat } from './support.ts'

let bed: TestBed
beforeEach(() => {
  bed = new TestBed()
})
afterEach(() => bed[Symbol.asyncDispose]())

/** Everything that a seat sees of its worktree and home: kinds, modes, sizes, times, targets, allocated blocks, content. */
const everything = (seat: TestSeat): Promise<string> =>
  seat.sh(`for top in /workspace /home/agent; do
      cd $top 2>/dev/null || continue
      find . -path ./.git/index -o -printf '%y %m %s %T@ %l %n %P\\n' | LC_ALL=C sort
      find . -type f -size -1000k -exec sha256sum '{}' + | LC_ALL=C sort
      perl -e '
        for (glob "attr *") { my $b = "\\0" x 100; my ($f, $k) = ($_, "user.note"); my $n = syscall(191, $f, $k, $b, 100); print "$_ ", substr($b, 0, $n > 0 ? $n : 0), "\\n" }
        print int((stat "hole")[12] < 100), "\\n" if -e "hole"'
    done`)

const WORK = `
  echo changed > a; rm gone; rm -rf d; mkdir d; echo new > d/new; mv kept moved
  echo secret > private; chmod 400 private; mkdir closed; echo x > closed/x; chmod 000 closed
  ln -s /nowhere link; ln a hard; mkfifo fifo; touch -d '2001-02-03 04:05:06.789' a
  printf x > "$(printf 'not-utf8-\\377')"; printf x > "$(printf 'line\\nbreak')"; printf x > ' --help'
  truncate -s 300M hole; echo end >> hole
  perl -e 'open F, ">attr"; close F; ($f, $n, $v) = ("attr", "user.note", "hello"); syscall(188, $f, $n, $v, 5, 0) == 0 or die $!'
  git add a moved; git commit -q -m work; git stash list; echo session > /home/agent/session; chmod 600 /home/agent/session
  mkdir -m 700 /home/agent/.agent; ln -s session /home/agent/.agent/link; touch -d @1000000000 /home/agent/.agent d
`
const ORIGIN = { a: 'a', gone: 'gone', 'd/x': 'x', kept: 'kept', e: 'e' }

describe.each(['overlay', 'clone'] as const)('restoring a checkpoint (%s)', (mode) => {
  it('brings back everything as it was, and nothing else', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin'), ORIGIN), { mode })
    await seat.sh(WORK)
    const [before, head] = [await everything(seat), await seat.sh('git log --format=%H')]
    expect(before).toContain('attr hello')
    const checkpoint = await take(seat)
    expect(checkpoint.bytes).toBeLessThan(200_000)
    await seat.sh(
      'rm -rf d link hole private; chmod 700 closed; rm -rf closed; echo late > late; echo later > /home/agent/later',
    )
    const restored = await restore(seat, checkpoint)
    expect(await everything(restored)).toBe(before)
    expect(await restored.sh('git log --format=%H; git status --porcelain -uno')).toContain(head)
    expect(await restored.sh('cat d/new; ls d')).toBe('new\nnew')
    // The layer is a layer like any other: it is written, collected, checkpointed again.
    await restored.sh('echo more > more; git add more; git commit -q -m more')
    expect(await bed.workspace.collect(seat.layer, never)).toMatchObject({
      commits: [{ subject: 'more' }, { subject: 'work' }],
    })
    expect(await take(restored, { previous: checkpoint, sequence: 2 })).toMatchObject({ shares: null })
  })

  it('leaves the live layer alone until the swap, and then nothing of it', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin'), ORIGIN), { mode })
    await seat.sh('echo first > first')
    const checkpoint = await take(seat)
    await seat.sh('echo second > second')
    await bed.checkpoints.stage(seat.layer, checkpoint, never)
    expect(await seat.sh('cat first second')).toBe('first\nsecond')
    await bed.checkpoints.unstage(seat.layer.seat)
    await bed.checkpoints.unstage(seat.layer.seat)
    expect(readdirSync(join(seat.directory, '..'))).toEqual(['builder'])
    await expect(bed.checkpoints.swap(seat.layer, checkpoint)).rejects.toMatchObject({ code: 'conflict' })
    const restored = await restore(seat, checkpoint)
    await bed.checkpoints.swap(seat.layer, checkpoint)
    await bed.checkpoints.sweep(seat.layer.seat, new Set([checkpoint.checkpoint_id]))
    expect(await restored.sh('cat first; ls second 2>/dev/null || echo none')).toBe('first\nnone')
    expect(readdirSync(join(seat.directory, '..'))).toEqual(['builder'])
    expect(statSync(seat.directory).mode & 0o777).toBe(0o700)
  })
})

it('a checkpoint of a seat that only reads is its home', async () => {
  const seat = await bed.seat(makeOrigin(bed.path('origin')), { role: 'read' })
  await seat.sh('echo session > /home/agent/session')
  const checkpoint = await take(seat)
  await seat.sh('rm /home/agent/session')
  const restored = await restore(seat, checkpoint)
  expect(await restored.sh('cat /home/agent/session README.md')).toBe('session\nhello')
})

it('an untouched seat has a checkpoint too, and a first mount of it changes nothing that counts', async () => {
  const seat = await bed.seat(makeOrigin(bed.path('origin')))
  await seat.sh(':')
  const checkpoint = await take(seat)
  await seat.sh('git --no-optional-locks status; git log -1; cat README.md')
  expect(await bed.checkpoints.isCurrent(seat.layer, checkpoint, never)).toBe(true)
  expect(await (await restore(seat, checkpoint)).sh('git status --porcelain; git log --format=%s')).toBe('first')
})

it('a checkpoint is taken while the seat is mounted again, and a layer without one is not current', async () => {
  const seat = await bed.seat(makeOrigin(bed.path('origin')))
  await seat.sh('echo work > work')
  const first = await take(seat)
  const [, second] = await Promise.all([seat.sh('cat work'), take(seat, { previous: first, sequence: 2 })])
  expect(second.shares).toBe(first.checkpoint_id)
  await bed.workspace.removeSeat(seat.layer.seat)
  expect(await bed.checkpoints.isCurrent(seat.layer, first, never)).toBe(false)
  expect(existsSync(seat.directory)).toBe(false)
})

describe('a fork', () => {
  const fork = async (
    from: TestSeat,
    agent_id: string,
    options: { mission?: string; role?: 'read' | 'write' } = {},
  ) => {
    const { layer } = from
    const mission_id = options.mission ?? layer.seat.mission_id
    const target = { ...layer, role: options.role ?? layer.role, seat: { mission_id, agent_id } }
    const checkpoint = await take(from)
    await bed.checkpoints.stage(target, checkpoint, never)
    await bed.checkpoints.swap(target, checkpoint)
    await bed.checkpoints.swap(target, checkpoint)
    return bed.seatIn(mission_id, layer.base, { ...target, agent_id })
  }

  it.each(['overlay', 'clone'] as const)('has the work under its own branch and name (%s)', async (mode) => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')), { mode })
    await seat.sh('echo one > one; git add one; git commit -q -m one; echo two > two; git add two; echo three > three')
    await seat.sh('git branch side; git config user.note kept')
    const twin = await fork(seat, 'twin')
    expect(
      await twin.sh('git status --porcelain=v2 --branch | grep -v oid; git log --format=%s; git config user.name'),
    ).toBe(
      '# branch.head mission/twin\n1 A. N... 000000 100644 100644 0000000000000000000000000000000000000000 f719efd430d52bcfc8566a43b2eb655688d38871 two\n? three\none\nfirst\ntwin',
    )
    expect(await twin.sh('git for-each-ref --format="%(refname)" refs/heads; git config user.note')).toBe(
      'refs/heads/mission/twin\nrefs/heads/side\nkept',
    )
    await twin.sh('git commit -q -m by-twin')
    const collection = await bed.workspace.collect(twin.layer, never)
    expect(collection).toMatchObject({
      branch: 'mission/twin',
      commits: [{ subject: 'by-twin', author: 'twin' }, { subject: 'one' }],
    })
    expect(hostGit(collection.repository, 'for-each-ref', '--format=%(refname)', 'refs/heads')).toBe(
      'refs/heads/mission/twin',
    )
    expect(await seat.sh('git log --format=%s; git branch --show-current')).toBe('one\nfirst\nmission/builder')
  })

  it('keeps what HEAD does not reach on the refs that it is on', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh(
      'echo one > one; git add one; git commit -q -m one; git checkout -q -b aside HEAD^; git commit -q --allow-empty -m aside',
    )
    const twin = await fork(seat, 'twin')
    expect(JSON.parse(readFileSync(join(twin.directory, 'layer.json'), 'utf8')).unsynced).toBeUndefined()
    expect(await twin.sh('git log --format=%s; git branch --show-current; git log --format=%s mission/builder')).toBe(
      'aside\nfirst\nmission/twin\none\nfirst',
    )
  })

  it('goes to another mission, by the same name, and to a seat without commits', async () => {
    const seat = await bed.seat(null)
    await seat.sh('echo one > one; git add one')
    const { mission_id } = (await bed.seat(null, { agent_id: 'other' })).layer.seat
    const twin = await fork(seat, 'builder', { mission: mission_id })
    expect(await twin.sh('git status --porcelain; git branch --show-current; git config user.email')).toBe(
      `A  one\nmission/builder\nbuilder@${mission_id}.lazarus.invalid`,
    )
  })

  it('gives a reader the home alone, and a writer from a reader a worktree of its own', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('echo one > one; echo mine > /home/agent/mine')
    const reader = await fork(seat, 'reader', { role: 'read' })
    expect(await reader.sh('ls; cat /home/agent/mine')).toBe('README.md\nmine')
    const writer = await fork(reader, 'writer', { role: 'write' })
    expect(
      await writer.sh('cat /home/agent/mine; echo x > x; git add x; git commit -q -m x; git log -1 --format=%an'),
    ).toBe('mine\nwriter')
  })

  it('of a repository that git cannot read is refused, and leaves nothing', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('echo broken > .git/HEAD')
    await expect(fork(seat, 'twin')).rejects.toMatchObject({ code: 'conflict' })
    expect(readdirSync(join(seat.directory, '..'))).toEqual(['builder'])
  })

  it('of a private copy is no overlay, and the other way round: refused, and nothing is left', async () => {
    const modes = ['overlay', 'clone'] as const
    for (const [mode, other] of [modes, modes.toReversed()] as const) {
      const seat = await bed.seat(makeOrigin(bed.path(`origin-${mode}`)), { mode })
      const checkpoint = await take(seat)
      await expect(bed.checkpoints.stage({ ...seat.layer, mode: other! }, checkpoint, never)).rejects.toMatchObject({
        code: 'conflict',
      })
      expect(readdirSync(join(seat.directory, '..'))).toEqual(['builder'])
    }
  })
})

describe('a layer that was laid out of a checkpoint', () => {
  const NEXT_BOOT = { bootId: '11111111-1111-4111-8111-111111111111' }
  const record = (seat: TestSeat) => JSON.parse(readFileSync(join(seat.directory, 'layer.json'), 'utf8'))

  it('is on the disk soon after; a power loss before that makes it one that is torn, and it is laid out again', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('echo one > one')
    const checkpoint = await take(seat)
    await bed.checkpoints.stage(seat.layer, checkpoint, never)
    const fresh = bed.worktrees({ faults: (step) => step === 'layer.remove' && fail('killed') })
    await fresh.checkpoints.swap(seat.layer, checkpoint)
    await vi.waitFor(() => expect(readdirSync(join(seat.directory, '..'))).toHaveLength(2))
    expect(record(seat)).toMatchObject({ from: checkpoint.checkpoint_id, unsynced: true })
    const dead = bed.path('dead-pit-record')
    copyFileSync(join(seat.directory, 'layer.json'), dead)
    await bed.checkpoints.sweep(seat.layer.seat, new Set([checkpoint.checkpoint_id]))
    expect(record(seat).unsynced).toBeUndefined()
    copyFileSync(dead, join(seat.directory, 'layer.json'))
    expect(await fresh.workspace.isIntact(seat.layer)).toBe(true)
    const later = bed.worktrees(NEXT_BOOT)
    expect(await later.workspace.isIntact(seat.layer)).toBe(false)
    await expect(later.workspace.openSeat(seat.layer)).rejects.toMatchObject({
      message: expect.stringContaining('torn'),
    })
    await later.checkpoints.stage(seat.layer, checkpoint, never)
    await later.checkpoints.swap(seat.layer, checkpoint)
    await vi.waitFor(() => expect(record(seat).unsynced).toBeUndefined(), { timeout: 20_000 })
    expect(record(seat).from).toBe(checkpoint.checkpoint_id)
    expect(await later.workspace.isIntact(seat.layer)).toBe(true)
    expect(await bed.another({ bootId: '22222222-2222-4222-8222-222222222222' }).isIntact(seat.layer)).toBe(true)
    expect(await seat.sh('cat one')).toBe('one')
  })
})

function fail(message: string): never {
  throw new Error(message)
}
