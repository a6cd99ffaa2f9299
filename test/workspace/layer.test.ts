import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { open as openFile } from 'node:fs/promises'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { overlayPossible } from '../../src/workspace/overlay-probe.ts'
import { hostGit, makeOrigin, never, TestBed, type TestSeat } from './support.ts'

let bed: TestBed
beforeEach(() => {
  bed = new TestBed()
})
afterEach(() => bed[Symbol.asyncDispose]())

describe('the layer of a seat', () => {
  it('is mounted in order: worktree, objects, home, artifacts, brief', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    expect(seat.mounts.map((mount) => [mount.target, mount.kind, mount.kind === 'bind' && mount.read_only])).toEqual([
      ['/workspace', 'overlay', false],
      ['/run/lazarus-git/objects', 'bind', true],
      ['/home/agent', 'bind', false],
      ['/artifacts', 'bind', false],
      ['/mission', 'bind', true],
      ['/mission/artifacts', 'bind', true],
    ])
    for (const name of ['upper', 'work', 'home', 'brief'])
      expect(statSync(join(seat.directory, name)).isDirectory()).toBe(true)
    expect(statSync(seat.directory).mode & 0o777).toBe(0o700)
    expect(JSON.parse(await seat.sh('cat /mission/mission.json'))).toMatchObject({
      agent_id: 'builder',
      role: 'write',
      branch: 'mission/builder',
      base: { commit: seat.layer.base.commit },
    })
  })

  it('is found again with what the agent left in it', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('echo x > x; echo y > /home/agent/y')
    const again = await bed.seatIn(seat.layer.seat.mission_id, seat.layer.base)
    expect(again.mounts).toEqual(seat.mounts)
    expect(await again.sh('cat x /home/agent/y')).toBe('x\ny')
  })

  it('is read-only for read, and absent for audit', async () => {
    const reader = await bed.seat(makeOrigin(bed.path('origin')), { role: 'read', agent_id: 'reader' })
    expect((await reader.try('echo x > x')).stderr).toContain('Read-only')
    expect(
      await reader.sh('cat README.md; git log --format=%s; git status --porcelain; echo mine > /home/agent/f'),
    ).toBe('hello\nfirst')
    const auditor = await bed.seatIn(reader.layer.seat.mission_id, reader.layer.base, {
      role: 'audit',
      agent_id: 'auditor',
    })
    expect(auditor.mounts.map((mount) => mount.target)).toEqual([
      '/home/agent',
      '/artifacts',
      '/mission',
      '/mission/artifacts',
    ])
    expect(await auditor.sh('ls /workspace 2>/dev/null || echo none')).toBe('none')
  })

  it('shows the artifacts of the other seats, read-only', async () => {
    const one = await bed.seat(makeOrigin(bed.path('origin')), { agent_id: 'one' })
    const two = await bed.seatIn(one.layer.seat.mission_id, one.layer.base, { agent_id: 'two' })
    await one.sh('echo report > /artifacts/report')
    expect(await two.sh('cat /mission/artifacts/one/report')).toBe('report')
    expect((await two.try('echo x > /mission/artifacts/one/report')).stderr).toContain('Read-only')
  })

  it('is not handed to a seat of another purpose', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await expect(bed.seatIn(seat.layer.seat.mission_id, seat.layer.base, { role: 'read' })).rejects.toMatchObject({
      code: 'conflict',
    })
    await expect(bed.seatIn(seat.layer.seat.mission_id, seat.layer.base, { mode: 'clone' })).rejects.toMatchObject({
      code: 'conflict',
    })
  })

  it('has a size, in which new work shows', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    const before = await bed.workspace.usage(seat.layer.seat)
    await seat.sh('head -c 1000000 /dev/urandom > big; mkdir d; echo x > /home/agent/y; chmod 000 d')
    const after = await bed.workspace.usage(seat.layer.seat)
    expect(after.bytes - before.bytes).toBeGreaterThanOrEqual(1_000_000)
    expect(after.entries - before.entries).toBe(3)
    expect(await bed.workspace.usage({ ...seat.layer.seat, agent_id: 'nobody' })).toEqual({ bytes: 0, entries: 0 })
  })
})

describe('a layer and the disk', () => {
  const NEXT_BOOT = { bootId: '11111111-1111-4111-8111-111111111111' }
  const open = (seat: TestSeat, workspace = bed.workspace) => workspace.openSeat(seat.layer)
  const TORN = { code: 'conflict', message: expect.stringContaining('torn by a crash of the host') }

  it('is made without a single sync, and its name taken away with one', async () => {
    const origin = makeOrigin(bed.path('origin'))
    const base = await bed.workspace.resolve(origin, null, never)
    const { mission_id } = (await bed.seat(origin)).layer.seat
    const handle = await openFile(bed.root)
    const sync = vi.spyOn(Object.getPrototypeOf(handle), 'sync')
    await handle.close()
    try {
      const seat = await bed.seatIn(mission_id, base, { agent_id: 'second' })
      await open(seat)
      expect(sync).toHaveBeenCalledTimes(0)
      await bed.workspace.removeSeat(seat.layer.seat)
      expect(sync).toHaveBeenCalledTimes(1)
    } finally {
      sync.mockRestore()
    }
  })

  it('is used again in a later boot when what we seeded is whole, whatever the agent made of it', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('echo x > x; git add x; git commit -q -m x; git pack-refs --all; : > empty')
    const brief = join(seat.directory, 'brief/mission.json')
    writeFileSync(brief, '')
    const later = bed.another(NEXT_BOOT)
    expect(await open(seat, later)).toEqual(seat.mounts)
    expect(readFileSync(brief, 'utf8')).toContain('"builder"')
    // From now on this boot vouches for it: it is not looked at again.
    writeFileSync(join(seat.directory, 'upper/.git/config'), '')
    expect(await open(seat, later)).toEqual(seat.mounts)
    await expect(open(seat)).rejects.toMatchObject(TORN)
  })

  it.each([
    ['upper/.git/HEAD', ''],
    ['upper/.git/config', '\0'.repeat(300)],
    ['upper/.git/refs/heads/mission/builder', ''],
    ['layer.json', ''],
    ['layer.json', '\0'.repeat(80)],
    ['layer.json', null],
  ])('is not used again after a power loss that tore %s', async (name, content) => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('echo work > work')
    if (content === null) rmSync(join(seat.directory, name))
    else writeFileSync(join(seat.directory, name), content)
    const later = bed.another(NEXT_BOOT)
    await expect(open(seat, later)).rejects.toMatchObject(TORN)
    // What is left of the work is not lost: it counts, and goes to the trash.
    expect((await later.uncollected(seat.layer, never)).paths).not.toEqual([])
    expect((await later.usage(seat.layer.seat)).entries).toBeGreaterThan(0)
    const kept = await later.discardToTrash(seat.layer, never)
    expect(await later.discardToTrash(seat.layer, never)).toEqual(kept)
    const names = execFileSync('tar', ['-tf', '-'], { input: zstdDecompressSync(readFileSync(kept!.path)) }).toString()
    expect(names.split('\n')).toContain('upper/work')
    await later.removeSeat(seat.layer.seat)
    expect(await later.openSeat(seat.layer)).toEqual(seat.mounts)
  })
})

describe('closing a mission', () => {
  it('leaves nothing of ours, and can be repeated', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('echo x > /artifacts/x')
    for (let round = 0; round < 2; round += 1) {
      await bed.workspace.removeSeat(seat.layer.seat)
      await bed.workspace.closeMission(seat.layer.seat.mission_id, seat.layer.base, { repository: false })
    }
    expect(readdirSync(join(bed.missions, seat.layer.seat.mission_id))).toEqual([])
  })

  it('keeps a repository that can be carried away on its own', async () => {
    const origin = makeOrigin(bed.path('origin'), { a: 'a', b: 'b' })
    const seat = await bed.seat(origin)
    await seat.sh('echo x > x; git add x; git commit -q -m x; echo report > /artifacts/report')
    const { head } = await bed.workspace.collect(seat.layer, never)
    await bed.workspace.removeSeat(seat.layer.seat)
    for (let round = 0; round < 2; round += 1)
      await bed.workspace.closeMission(seat.layer.seat.mission_id, seat.layer.base, { repository: true })
    expect(existsSync(join(seat.trusted, 'objects/info/alternates'))).toBe(false)
    expect(hostGit(seat.trusted, 'fsck', '--connectivity-only')).toBe('')
    expect(hostGit(bed.root, 'clone', '-q', '--no-local', '--branch', 'mission/builder', seat.trusted, 'carried')).toBe(
      '',
    )
    expect(hostGit(bed.path('carried'), 'rev-parse', 'HEAD')).toBe(head)
    expect(readFileSync(join(bed.missions, seat.layer.seat.mission_id, 'artifacts/builder/report'), 'utf8')).toBe(
      'report\n',
    )
  })
})

describe('the overlay probe', () => {
  it('mounts a real overlay where one is possible, and leaves nothing', async () => {
    expect(await overlayPossible(bed.path('probe'), Date.now(), never)).toEqual({ possible: true })
    expect(readdirSync(bed.path('probe'))).toEqual([])
  })

  it('removes what a probe that was killed has left, and nothing that is young', async () => {
    const [old, young] = ['.overlay-probe-0123456789ab', '.overlay-probe-ba9876543210'] as const
    for (const name of [old, young]) mkdirSync(bed.path('probes', name, 'work', 'work'), { recursive: true })
    chmodSync(bed.path('probes', old, 'work', 'work'), 0)
    const then = Date.now() / 1000 - 7200
    utimesSync(bed.path('probes', old), then, then)
    expect(await overlayPossible(bed.path('probes'), Date.now(), never)).toEqual({ possible: true })
    expect(readdirSync(bed.path('probes'))).toEqual([young])
  })

  it('says why where none is possible', async () => {
    expect(await overlayPossible(bed.path('with,comma'), Date.now(), never)).toEqual({
      possible: false,
      reason: expect.stringMatching(/./),
    })
    expect(readdirSync(bed.path('with,comma'))).toEqual([])
  })
})
