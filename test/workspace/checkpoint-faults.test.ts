import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Checkpoint } from '../../src/contract/checkpoint.ts'
import { orderFor } from '../conformance/checkpoint-store.ts'
import { checkpointsOf, listed, restore, take } from './checkpoint-support.ts'
import { makeOrigin, never, TestBed, type TestSeat } from './support.ts'

let bed: TestBed
let seat: TestSeat
let first: Checkpoint
beforeEach(async () => {
  bed = new TestBed()
  seat = await bed.seat(makeOrigin(bed.path('origin')))
  await seat.sh('echo one > one')
  first = await take(seat)
  await seat.sh('echo two > two')
})
afterEach(() => bed[Symbol.asyncDispose]())

/** A store that fails before one step, each time. */
const failingAt = (point: string, error: Error = new Error(`injected before ${point}`)) =>
  bed.worktrees({
    faults: (step) => {
      if (step === point) throw error
    },
  }).checkpoints

const besideLayer = () => readdirSync(join(seat.directory, '..')).toSorted()
const alone = () => vi.waitFor(() => expect(besideLayer()).toEqual(['builder']), { timeout: 20_000 })
const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })

describe('a checkpoint that fails', () => {
  it.each(['checkpoint.take', 'checkpoint.write', 'checkpoint.archive', 'checkpoint.sync', 'checkpoint.appear'])(
    'before %s leaves nothing, the ones before stay good, and it can be repeated',
    async (point) => {
      await expect(take(seat, { sequence: 2, previous: first }, failingAt(point, full))).rejects.toMatchObject({
        code: 'ENOSPC',
      })
      expect(listed(seat)).toEqual([first.checkpoint_id])
      await bed.checkpoints.verify(first, never)
      const second = await take(seat, { sequence: 2, previous: first })
      await bed.checkpoints.verify(second, never)
    },
  )

  it('because it is there already leaves the one that is there', async () => {
    const again = { sequence: 1 } // the clock of the bed stands still: the same manifest
    const restored = await restore(seat, first)
    const twin = await take(restored, again)
    await expect(take(restored, again)).rejects.toThrow(/ENOTEMPTY|EEXIST/)
    await bed.checkpoints.verify(twin, never)
  })

  it('while its archive is shared leaves nothing', async () => {
    const second = await take(seat, { sequence: 2, previous: first })
    const order = { sequence: 3, previous: second }
    await expect(take(seat, order, failingAt('checkpoint.appear'))).rejects.toThrow('injected')
    expect(listed(seat).toSorted()).toEqual([first, second].map(({ checkpoint_id }) => checkpoint_id).toSorted())
    await bed.checkpoints.verify(second, never)
  })

  it('because it is too large says which limit, and leaves nothing', async () => {
    await seat.sh(
      'i=0; while [ $i -lt 60 ]; do : > f$i; i=$((i+1)); done; head -c 400000 /dev/urandom > /home/agent/big',
    )
    const many = bed.worktrees({ limits: { checkpoint_entries: 50 } }).checkpoints
    await expect(take(seat, { sequence: 2 }, many)).rejects.toMatchObject({
      code: 'limit_exceeded',
      message: expect.stringContaining('more than 50 entries'),
      details: { limit: 'checkpoint_entries' },
    })
    const large = bed.worktrees({ limits: { checkpoint_bytes: 300_000 } }).checkpoints
    await expect(take(seat, { sequence: 2 }, large)).rejects.toMatchObject({
      code: 'limit_exceeded',
      details: { limit: 'checkpoint_bytes' },
    })
    expect(listed(seat)).toEqual([first.checkpoint_id])
  })

  it('because it was called off, or took too long, leaves nothing', async () => {
    const abort = new AbortController()
    const calling = bed.worktrees({
      faults: (step) => {
        if (step === 'checkpoint.write') abort.abort(new Error('called off'))
      },
    })
    const order = orderFor(seat.layer, { sequence: 2, previous: first })
    await expect(calling.checkpoints.take(seat.layer, order, abort.signal)).rejects.toThrow('called off')
    const slow = bed.worktrees({ limits: { airlock_long_timeout_ms: 1 } }).checkpoints
    await expect(take(seat, { sequence: 2 }, slow)).rejects.toMatchObject({ code: 'timed_out' })
    expect(listed(seat)).toEqual([first.checkpoint_id])
  })

  it('because the airlock was killed in the middle leaves nothing', async () => {
    await seat.sh('head -c 60000000 /dev/urandom > /home/agent/big')
    const killed: number[] = []
    const killing = bed.worktrees({
      faults: (step) => {
        if (step === 'checkpoint.write') killed.push(...killAirlocks())
      },
    }).checkpoints
    await expect(take(seat, { sequence: 2 }, killing)).rejects.toMatchObject({ code: 'runtime_failed' })
    expect(killed).not.toEqual([])
    expect(listed(seat)).toEqual([first.checkpoint_id])
  })

  it('with the pit itself is swept, and what the ledger lists is not', async () => {
    const home = checkpointsOf(bed, seat.layer.seat)
    const lost = await take(seat, { sequence: 2 })
    mkdirSync(join(home, '.new-0123'))
    writeFileSync(join(home, '.new-0123/snapshot.tar.zst'), 'half')
    mkdirSync(join(home, '.gone-0123'))
    writeFileSync(join(home, 'notes'), "an operator's")
    await bed.checkpoints.sweep(seat.layer.seat, new Set([first.checkpoint_id]))
    expect(listed(seat).toSorted()).toEqual([first.checkpoint_id, 'notes'])
    await bed.checkpoints.verify(first, never)
    await expect(bed.checkpoints.verify(lost, never)).rejects.toMatchObject({ code: 'checkpoint_corrupt' })
    const nobody = { mission_id: seat.layer.seat.mission_id, agent_id: 'nobody' }
    await bed.checkpoints.sweep(nobody, new Set())
  })
})

describe('a restore that fails', () => {
  it.each(['layer.stage', 'layer.staged'])(
    'before %s leaves the live layer alone and nothing beside it',
    async (point) => {
      await expect(restore(seat, first, failingAt(point))).rejects.toThrow('injected')
      expect(besideLayer()).toEqual(['builder'])
      expect(await seat.sh('cat one two')).toBe('one\ntwo')
    },
  )

  it.each(['layer.detach', 'layer.show', 'layer.remove'])('before %s goes on where it stopped', async (point) => {
    const store = failingAt(point)
    await store.stage(seat.layer, first, never)
    await store.swap(seat.layer, first).catch((error) => expect(error.message).toContain('injected'))
    const restored = await restore(seat, first)
    expect(await restored.sh('cat one; ls')).toBe('one\nREADME.md\none')
    await bed.checkpoints.sweep(seat.layer.seat, new Set([first.checkpoint_id]))
    await alone()
  })

  it('between its two renames is finished by a swap alone', async () => {
    await bed.checkpoints.stage(seat.layer, first, never)
    await expect(failingAt('layer.show').swap(seat.layer, first)).rejects.toThrow('injected')
    await bed.checkpoints.swap(seat.layer, first)
    expect(await seat.sh('cat one; ls')).toBe('one\nREADME.md\none')
    await alone()
  })

  it('in the middle of the airlock leaves the live layer alone', async () => {
    await seat.sh('head -c 60000000 /dev/urandom > /home/agent/big')
    const large = await take(seat, { sequence: 2 })
    const abort = new AbortController()
    const staging = bed.checkpoints.stage(seat.layer, large, abort.signal)
    await vi.waitFor(() => expect(besideLayer().some((name) => name.startsWith('.staging-'))).toBe(true), {
      interval: 1,
    })
    abort.abort(new Error('called off'))
    await expect(staging).rejects.toThrow('called off')
    expect(besideLayer()).toEqual(['builder'])
    expect(await seat.sh('cat one two')).toBe('one\ntwo')
  })

  it('leaves what it staged to the withdrawal of the seat', async () => {
    await bed.checkpoints.stage(seat.layer, first, never)
    await bed.workspace.removeSeat(seat.layer.seat)
    expect(besideLayer()).toEqual([])
  })
})

/** Kills the airlocks of this process, by their pids. */
function killAirlocks(pid = process.pid): readonly number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
  return children.flatMap((child) => {
    if (!/\0airlock\0|hull\.pl/.test(readFileSync(`/proc/${child}/cmdline`, 'latin1'))) return killAirlocks(child)
    process.kill(child, 'SIGKILL')
    return [child]
  })
}
