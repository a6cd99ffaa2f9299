import { describe, expect, test } from 'vitest'
import { LazarusError } from '../../src/kernel/errors.ts'
import { NEVER, Stage } from './stage.ts'

const DAY_MS = 86_400_000

/** The clockwork of the pit looks once a second. */
const looks = (times: number) => new Promise((resolve) => setTimeout(resolve, times * 1100))

/** Dies `times` times, each time as soon as it is back. */
async function dies(stage: Stage, mission_id: string, times: number): Promise<void> {
  for (let i = 0; i < times; i += 1) {
    const { generation } = stage.pit.readSeat(mission_id, 'phoenix')
    stage.sandbox(mission_id).kill('SIGKILL')
    await stage.until(mission_id, (seat) => seat.generation > generation && seat.status === 'active')
  }
}

describe('a clock that jumps', () => {
  test.each([DAY_MS, -DAY_MS])('by %i ms while agents die: nobody is quarantined, nobody lives twice', async (jump) => {
    await using stage = await Stage.open()
    const mission_id = await stage.mission({ max_retries: 2 })
    await stage.seat(mission_id)
    await dies(stage, mission_id, 1)
    stage.clock.offset_ms += jump
    await dies(stage, mission_id, 1)
    stage.clock.offset_ms -= jump
    await dies(stage, mission_id, 1)
    expect(stage.sandbox(mission_id).spec.name.generation).toBe(4)
    expect(stage.events('seat_quarantined', 'revival_timed_out')).toEqual([])
  })

  test.each([DAY_MS, -DAY_MS])(
    'by %i ms while a revival waits for approval: it waits on, and comes once',
    async (jump) => {
      await using stage = await Stage.open()
      const mission_id = await stage.mission({ auto_revive: 'ask' })
      await stage.seat(mission_id)
      stage.sandbox(mission_id).kill('SIGKILL')
      await stage.until(mission_id, ({ status }) => status === 'awaiting_approval')
      stage.clock.offset_ms += jump
      await stage.seat(mission_id, 'other') // something changes, and the queue is looked at
      expect(stage.pit.readSeat(mission_id, 'phoenix').status).toBe('awaiting_approval')
      const [waiting] = stage.pit.listRevivals()
      await stage.pit.approveRevival(waiting!.revival_id, { kind: 'operator', via: 'socket' })
      await stage.until(mission_id, ({ status, generation }) => status === 'active' && generation === 2)
      expect(stage.events('spawn_started')).toHaveLength(3)
    },
  )

  test('a pit that was down for a day brings back who waited', async () => {
    await using stage = await Stage.open()
    const mission_id = await stage.mission({ auto_revive: 'ask', revive_timeout: 60 })
    await stage.seat(mission_id)
    stage.sandbox(mission_id).kill('SIGKILL')
    await stage.until(mission_id, ({ status }) => status === 'awaiting_approval')
    await stage.pit[Symbol.asyncDispose]()
    stage.clock.offset_ms += DAY_MS
    stage.start()
    await stage.pit.recovered()
    await stage.pit.approveRevival(stage.pit.listRevivals()[0]!.revival_id, { kind: 'operator', via: 'socket' })
    await stage.until(mission_id, ({ status, generation }) => status === 'active' && generation === 2)
  })

  test('by a day brings no flood of checkpoints by the clock', async () => {
    await using stage = await Stage.open()
    const mission_id = await stage.mission({ checkpoint_interval: 300 }, 30)
    for (let i = 0; i < 20; i += 1) await stage.seat(mission_id, `agent-${i}`)
    await looks(2)
    stage.clock.offset_ms += DAY_MS
    await looks(2)
    expect(stage.events('checkpoint_started')).toEqual([])
  })
})

describe('who dies in a moment', () => {
  test('before its start is recorded is dead, and not taken for alive', async () => {
    await using stage = await Stage.open({}, { stillborn: async () => 3 })
    const mission_id = await stage.mission({ max_retries: 1 })
    await stage.seat(mission_id, 'phoenix', ['stillborn'])
    const seat = await stage.until(mission_id, ({ status }) => status === 'quarantined')
    expect(seat).toMatchObject({ generation: 2, exit: { code: 3 } })
  })

  test('and whose death is told before its start is recorded, is dead too', async () => {
    await using stage = await Stage.open()
    const mission_id = await stage.mission({ auto_revive: 'no' })
    const at = '2026-11-20T12:00:00.000Z'
    const times = { died_at: at, noticed_at: at, noticed_by: 'test' }
    stage.fault = (step) => {
      if (step !== 'record_spawn') return
      const name = { mission_id, agent_id: 'phoenix', generation: 1 }
      stage.tell({ name, exit: { cause: 'signal', code: 137, signal: 'SIGKILL', ...times } })
    }
    await stage.seat(mission_id)
    expect(await stage.until(mission_id, ({ status }) => status === 'dead')).toMatchObject({ exit: { code: 137 } })
  })
})

describe('the checkpoint of the last work', () => {
  test('that takes longer than the revival may: the next attempt begins when it is over, never beside it', async () => {
    await using stage = await Stage.open()
    const mission_id = await stage.mission({ revive_timeout: 0.05, max_retries: 1000, retry_window: 0.001 })
    await stage.seat(mission_id)
    const hold = Promise.withResolvers<void>()
    stage.store.hold = hold.promise
    stage.sandbox(mission_id).kill('SIGKILL')
    await stage.until(mission_id, () => stage.events('spawn_failed').length === 1)
    await new Promise((resolve) => setTimeout(resolve, 100)) // time to go wrong in
    expect(stage.events('checkpoint_started')).toHaveLength(1)
    hold.resolve()
    await stage.until(mission_id, ({ status }) => status === 'active')
    expect(stage.store.takingMost).toBe(1)
  })

  test('that fails holds nobody up', async () => {
    await using stage = await Stage.open()
    const mission_id = await stage.mission()
    await stage.seat(mission_id)
    stage.store.fails = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
    await dies(stage, mission_id, 1)
    expect(stage.events('checkpoint_failed')).toMatchObject([{ data: { error: { code: 'storage_full' } } }])
  })
})

describe('a layer that is torn', () => {
  const key = (mission_id: string) => `${mission_id}/phoenix`

  test('comes from the newest checkpoint that verifies', async () => {
    await using stage = await Stage.open()
    const mission_id = await stage.mission()
    await stage.seat(mission_id)
    for (const word of ['one', 'two', 'three']) {
      stage.store.layers.set(key(mission_id), word)
      const { checkpoint_id } = await stage.pit.checkpointSeat(mission_id, 'phoenix', word, NEVER)
      if (word === 'three') stage.store.corrupt.add(checkpoint_id)
    }
    stage.store.torn.add(key(mission_id))
    await dies(stage, mission_id, 1)
    expect(stage.store.layers.get(key(mission_id))).toBe('two')
    expect(stage.pit.readSeat(mission_id, 'phoenix').resumed_from).toMatch(/^ckpt_/)
    expect(stage.pit.listIncidents(mission_id)[0]).toMatchObject({ outcome: 'revived' })
  })

  test('and no checkpoint that verifies: tried as often as the policy says, then quarantined', async () => {
    await using stage = await Stage.open()
    const mission_id = await stage.mission({ max_retries: 1 })
    await stage.seat(mission_id)
    stage.store.torn.add(key(mission_id))
    stage.sandbox(mission_id).kill('SIGKILL')
    await stage.until(mission_id, ({ status }) => status === 'quarantined')
    await expect(stage.pit.reviveSeat(mission_id, 'phoenix', {}, NEVER)).rejects.toMatchObject({
      code: 'checkpoint_not_found',
      remedy: expect.stringContaining('Withdraw'),
    })
  })
})

describe('a restore that fails', () => {
  async function withCheckpoint() {
    const stage = await Stage.open()
    const mission_id = await stage.mission()
    await stage.seat(mission_id)
    stage.store.layers.set(`${mission_id}/phoenix`, 'before')
    const { checkpoint_id } = await stage.pit.checkpointSeat(mission_id, 'phoenix', 'test', NEVER)
    stage.store.layers.set(`${mission_id}/phoenix`, 'after')
    const restore = () => stage.pit.restoreSeat(mission_id, 'phoenix', checkpoint_id, NEVER)
    return { stage, mission_id, checkpoint_id, restore, layer: () => stage.store.layers.get(`${mission_id}/phoenix`) }
  }

  test.each(['stage_layer', 'take_checkpoint', 'record_restore'])('at %s leaves the agent as it was', async (point) => {
    const { stage, mission_id, restore, layer } = await withCheckpoint()
    await using _ = stage
    const { pid } = stage.sandbox(mission_id)
    stage.fault = (step) => {
      if (step === point) throw new LazarusError('storage_full', 'full')
    }
    await expect(restore()).rejects.toMatchObject({ code: 'storage_full' })
    expect([stage.sandbox(mission_id).pid, stage.sandbox(mission_id).frozen, layer()]).toEqual([pid, false, 'after'])
    expect(stage.store.staged.size).toBe(0)
    expect(stage.pit.readSeat(mission_id, 'phoenix')).toMatchObject({ status: 'active', generation: 1 })
  })

  test.each(['end_sandbox', 'swap_layer', 'record_restored'])(
    'at %s is a death, and the agent comes back',
    async (point) => {
      const { stage, mission_id, restore, layer } = await withCheckpoint()
      await using _ = stage
      let left = 1
      stage.fault = (step) => {
        if (step === point && stage.store.staged.size + (point === 'record_restored' ? 1 : 0) > 0 && left-- > 0)
          throw new LazarusError('storage_full', 'full')
      }
      await expect(restore()).rejects.toMatchObject({ code: 'storage_full' })
      await stage.until(mission_id, ({ status, generation }) => status === 'active' && generation === 2)
      expect(layer()).toBe(point === 'record_restored' ? 'before' : 'after')
      expect(stage.sandbox(mission_id).spec.name.generation).toBe(2)
    },
  )

  test('to a checkpoint that is corrupt touches nothing', async () => {
    const { stage, mission_id, checkpoint_id, restore } = await withCheckpoint()
    await using _ = stage
    stage.store.corrupt.add(checkpoint_id)
    const { pid } = stage.sandbox(mission_id)
    await expect(restore()).rejects.toMatchObject({ code: 'checkpoint_corrupt' })
    expect(stage.sandbox(mission_id).pid).toBe(pid)
  })

  test('is not what the retention makes of it: the one that is restored outlives the checkpoint before it', async () => {
    await using stage = await Stage.open({ retention: { checkpoints: 1 } })
    const mission_id = await stage.mission()
    await stage.seat(mission_id)
    const { checkpoint_id } = await stage.pit.checkpointSeat(mission_id, 'phoenix', 'test', NEVER)
    stage.store.layers.set(`${mission_id}/phoenix`, 'after')
    const seat = await stage.pit.restoreSeat(mission_id, 'phoenix', checkpoint_id, NEVER)
    expect(seat).toMatchObject({ status: 'active', resumed_from: checkpoint_id })
    await stage.until(mission_id, () => stage.pit.listCheckpoints(mission_id, 'phoenix').length === 1)
  })
})

describe('a mission that is paused', () => {
  test('brings nobody back; who died meanwhile comes back when it goes on', async () => {
    await using stage = await Stage.open()
    const mission_id = await stage.mission()
    await stage.seat(mission_id)
    await stage.pit.pauseMission(mission_id)
    expect(stage.sandbox(mission_id).frozen).toBe(true)
    stage.sandbox(mission_id).kill('SIGKILL')
    await stage.until(mission_id, ({ status }) => status === 'dead')
    await expect(stage.pit.reviveSeat(mission_id, 'phoenix', {}, NEVER)).rejects.toMatchObject({ code: 'conflict' })
    await stage.pit.resumeMission(mission_id)
    await stage.until(mission_id, ({ status, generation }) => status === 'active' && generation === 2)
  })

  test('freezes who comes to life in that moment, and a checkpoint thaws nobody in it', async () => {
    await using stage = await Stage.open()
    const mission_id = await stage.mission()
    await stage.seat(mission_id)
    const hold = Promise.withResolvers<void>()
    stage.store.hold = hold.promise
    const taken = stage.pit.checkpointSeat(mission_id, 'phoenix', 'test', NEVER)
    await stage.until(mission_id, () => stage.store.taking === 1 || stage.events('checkpoint_started').length === 1)
    await stage.pit.pauseMission(mission_id)
    hold.resolve()
    await taken
    expect(stage.sandbox(mission_id).frozen).toBe(true)
  })
})

test('hundreds that wait for approval cost the others nothing', async () => {
  await using stage = await Stage.open({ revivals_at_once: 64 })
  const asks = await stage.mission({ auto_revive: 'ask', retry_window: 0.001 }, 400)
  for (let i = 0; i < 400; i += 1) await stage.seat(asks, `agent-${i}`)
  const mission_id = await stage.mission({ retry_window: 0.001, max_retries: 1000 })
  await stage.seat(mission_id)
  const lives = async () => {
    const began = performance.now()
    await dies(stage, mission_id, 20)
    return performance.now() - began
  }
  const before = await lives()
  for (const { spec, kill } of stage.host.sandboxes.values()) if (spec.name.mission_id === asks) kill('SIGKILL')
  await stage.until(asks, () => stage.pit.listRevivals().length === 400, 'agent-0')
  const after = await lives()
  expect(after).toBeLessThan((before + 50) * 4)
}, 120_000)
