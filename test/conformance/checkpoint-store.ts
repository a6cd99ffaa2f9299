import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Checkpoint } from '../../src/contract/checkpoint.ts'
import type { CheckpointOrder, CheckpointStore } from '../../src/ports/checkpoint-store.ts'
import type { SeatLayer } from '../../src/ports/workspace.ts'

/** A seat of the trial, as its agent would use it. */
export interface SeatUnderTest {
  readonly layer: SeatLayer
  write(name: string, content: string): Promise<void>
  /** Names of the files that were written, with their content. */
  read(): Promise<Readonly<Record<string, string>>>
}

/** A store of its own per test. */
export interface StoreUnderTest {
  readonly store: CheckpointStore
  /** Seats of one mission. */
  seat(agent_id: string): Promise<SeatUnderTest>
  dispose(): Promise<void>
}

export function orderFor({ seat, role, base }: SeatLayer, overrides: Partial<CheckpointOrder> = {}): CheckpointOrder {
  return {
    generation: 1,
    sequence: 1,
    reason: 'a test',
    paused: true,
    state: {
      ...seat,
      role,
      status: 'active',
      generation: 1,
      isolation_level: 'level_2',
      branch: `mission/${seat.agent_id}`,
      base: { repo: base.repo, ref: base.ref, commit: base.commit },
      collected: null,
    },
    context: { command: ['agent'], resume_command: ['agent', '--resume'], env_names: ['KEY'], session: { id: 's1' } },
    previous: null,
    unchanged: 'share',
    ...overrides,
  }
}

const never = new AbortController().signal
const corrupt = { code: 'checkpoint_corrupt' }

/** What every checkpoint store promises, by its port. */
export function checkpointStoreConformance(name: string, make: () => Promise<StoreUnderTest>): void {
  describe(`the checkpoint store ${name}`, () => {
    let trial: StoreUnderTest
    let store: CheckpointStore
    let seat: SeatUnderTest
    beforeEach(async () => {
      trial = await make()
      store = trial.store
      seat = await trial.seat('builder')
    })
    afterEach(() => trial.dispose())

    const take = async (overrides: Partial<CheckpointOrder> = {}, of = seat): Promise<Checkpoint> =>
      (await store.take(of.layer, orderFor(of.layer, overrides), never))!
    const restore = async (from: Checkpoint, into = seat) => {
      await store.stage(into.layer, from, never)
      await store.swap(into.layer, from)
    }

    it('takes a checkpoint that says what it is of, and verifies', async () => {
      await seat.write('work', 'one')
      const checkpoint = await take({ generation: 3, sequence: 7, reason: 'by hand', paused: false })
      expect(checkpoint).toMatchObject({
        ...seat.layer.seat,
        checkpoint_id: expect.stringMatching(/^ckpt_[0-9a-f]{24}$/),
        generation: 3,
        sequence: 7,
        reason: 'by hand',
        paused: false,
        shares: null,
      })
      const { bytes, entries } = await store.verify(checkpoint, never)
      expect(entries).toBe(checkpoint.entries)
      expect(bytes).toBeGreaterThanOrEqual(checkpoint.bytes)
    })

    it('takes none where nothing changed and none was asked for, else one that shares the archive', async () => {
      await seat.write('work', 'one')
      const first = await take()
      expect(await store.isCurrent(seat.layer, first, never)).toBe(true)
      expect(await take({ sequence: 2, previous: first, unchanged: 'skip' })).toBeNull()
      const second = await take({ sequence: 2, previous: first })
      expect(second).toMatchObject({ shares: first.checkpoint_id, sha256: first.sha256, sequence: 2 })
      expect(second.checkpoint_id).not.toBe(first.checkpoint_id)
      await store.remove(first)
      await store.verify(second, never)
      await seat.write('work', 'two')
      expect(await store.isCurrent(seat.layer, second, never)).toBe(false)
      expect(await take({ sequence: 3, previous: second, unchanged: 'skip' })).toMatchObject({ shares: null })
    })

    it('sees a change that keeps size and time', async () => {
      await seat.write('work', 'one')
      const first = await take()
      await seat.write('work', 'two')
      expect(await take({ sequence: 2, previous: first, unchanged: 'skip' })).not.toBeNull()
    })

    it('brings back what was, and nothing that came later; each verb may be repeated', async () => {
      await seat.write('work', 'one')
      const checkpoint = await take()
      await seat.write('work', 'two')
      await seat.write('late', 'late')
      await store.stage(seat.layer, checkpoint, never)
      await store.stage(seat.layer, checkpoint, never)
      expect(await seat.read()).toEqual({ work: 'two', late: 'late' })
      await store.swap(seat.layer, checkpoint)
      await store.swap(seat.layer, checkpoint)
      expect(await seat.read()).toEqual({ work: 'one' })
      expect(await take({ sequence: 2, previous: checkpoint })).toMatchObject({ sequence: 2 })
    })

    it('forgets what was staged and not swapped in', async () => {
      await seat.write('work', 'one')
      const checkpoint = await take()
      await seat.write('work', 'two')
      await store.stage(seat.layer, checkpoint, never)
      for (let round = 0; round < 2; round += 1) await store.unstage(seat.layer.seat)
      await expect(store.swap(seat.layer, checkpoint)).rejects.toMatchObject({ code: 'conflict' })
      expect(await seat.read()).toEqual({ work: 'two' })
    })

    it('lays a checkpoint out for another seat', async () => {
      await seat.write('work', 'one')
      const checkpoint = await take()
      const other = await trial.seat('other')
      await other.write('own', 'own')
      await restore(checkpoint, other)
      expect(await other.read()).toEqual({ work: 'one' })
      expect(await seat.read()).toEqual({ work: 'one' })
    })

    it('refuses one that was removed, and leaves the live layer as it was', async () => {
      await seat.write('work', 'one')
      const checkpoint = await take()
      for (let round = 0; round < 2; round += 1) await store.remove(checkpoint)
      await expect(store.verify(checkpoint, never)).rejects.toMatchObject(corrupt)
      await expect(restore(checkpoint)).rejects.toMatchObject(corrupt)
      expect(await seat.read()).toEqual({ work: 'one' })
    })

    it('refuses one that is not what the ledger says', async () => {
      await seat.write('work', 'one')
      const older = await take()
      await seat.write('work', 'two')
      const newer = await take({ sequence: 2 })
      for (const lie of [
        { ...newer, sequence: 1 },
        { ...older, checkpoint_id: newer.checkpoint_id },
      ]) {
        await expect(store.verify(lie, never)).rejects.toMatchObject(corrupt)
        await expect(store.stage(seat.layer, lie, never)).rejects.toMatchObject(corrupt)
      }
    })

    it('sweeps what the ledger does not list, and keeps what it lists', async () => {
      await seat.write('work', 'one')
      const [listed, lost] = [await take(), await take({ sequence: 2 })]
      await store.stage(seat.layer, listed, never)
      for (let round = 0; round < 2; round += 1) {
        await store.sweep(seat.layer.seat, new Set([listed.checkpoint_id]))
      }
      await store.verify(listed, never)
      await expect(store.verify(lost, never)).rejects.toMatchObject(corrupt)
      await expect(store.swap(seat.layer, listed)).rejects.toMatchObject({ code: 'conflict' })
    })

    it('does nothing for a caller who has gone', async () => {
      const checkpoint = await take()
      const gone = AbortSignal.abort(new Error('gone'))
      await expect(store.take(seat.layer, orderFor(seat.layer), gone)).rejects.toThrow('gone')
      await expect(store.verify(checkpoint, gone)).rejects.toThrow('gone')
      await expect(store.stage(seat.layer, checkpoint, gone)).rejects.toThrow('gone')
    })
  })
}
