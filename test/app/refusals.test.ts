import { describe, expect, test } from 'vitest'
import { NEVER, Stage } from './stage.ts'

async function seated(config: object = {}) {
  const stage = await Stage.open(config)
  const mission_id = await stage.mission({ retry_window: 0.001, max_retries: 1000 })
  await stage.seat(mission_id)
  const checkpoint = () => stage.pit.checkpointSeat(mission_id, 'phoenix', 'test', NEVER)
  return { stage, mission_id, checkpoint }
}

describe('the dead generation', () => {
  test('holds no token: neither after a revival that the pit began, nor after a restore', async () => {
    const { stage, mission_id, checkpoint } = await seated()
    await using _ = stage
    const { token: first } = await stage.pit.addSeat(mission_id, { agent_id: 'other', role: 'write' }, NEVER)
    expect(stage.pit.identify(first)).toMatchObject({ name: { agent_id: 'other', generation: 1 } })
    stage.sandbox(mission_id, 'other').kill('SIGKILL')
    await stage.until(mission_id, ({ status, generation }) => status === 'active' && generation === 2, 'other')
    expect(stage.pit.identify(first)).toBeNull()
    const { token: second } = await stage.pit.restoreSeat(
      mission_id,
      'phoenix',
      (await checkpoint()).checkpoint_id,
      NEVER,
    )
    const { token: third } = await stage.pit.restoreSeat(
      mission_id,
      'phoenix',
      stage.pit.listCheckpoints(mission_id, 'phoenix')[0]!.checkpoint_id,
      NEVER,
    )
    expect([second, third].map((held) => stage.pit.identify(held)?.kind)).toEqual([undefined, 'seat'])
  })

  test('dies no second death: a late notice is refused and recorded, one that comes twice is nothing', async () => {
    const { stage, mission_id } = await seated()
    await using _ = stage
    const name = { mission_id, agent_id: 'phoenix', generation: 1 }
    stage.sandbox(mission_id).kill('SIGKILL')
    await stage.until(mission_id, ({ status, generation }) => status === 'active' && generation === 2)
    const [{ data }] = stage.events('seat_exited') as unknown as [{ data: { exit: never } }]
    stage.tell({ name, exit: data.exit })
    stage.tell({ name: { ...name, agent_id: 'nobody' }, exit: data.exit })
    stage.tell({ name: { ...name, mission_id: '0b7c7f8e-53c7-4d2a-9d55-1f7c3f1b2a10' }, exit: data.exit })
    await stage.until(mission_id, () => stage.events('refused').length > 0)
    expect(stage.events('refused')).toMatchObject([{ data: { what: 'exit of an older generation', generation: 1 } }])
    expect(stage.pit.readSeat(mission_id, 'phoenix')).toMatchObject({ status: 'active', generation: 2, exit: null })
    expect(stage.events('seat_exited')).toHaveLength(1)
  })
})

describe('while the seat is at work', () => {
  test('checkpoints wait for each other: both are taken, in order', async () => {
    const { stage, mission_id, checkpoint } = await seated()
    await using _ = stage
    const hold = Promise.withResolvers<void>()
    stage.store.hold = hold.promise
    const both = [checkpoint(), checkpoint()]
    await stage.until(mission_id, () => stage.events('checkpoint_started').length === 1)
    hold.resolve()
    expect((await Promise.all(both)).map(({ sequence }) => sequence)).toEqual([1, 2])
    expect(stage.store.takingMost).toBe(1)
  })

  test('one that waits for its turn can be called off', async () => {
    const { stage, mission_id, checkpoint } = await seated()
    await using _ = stage
    const hold = Promise.withResolvers<void>()
    stage.store.hold = hold.promise
    const first = checkpoint()
    await stage.until(mission_id, () => stage.events('checkpoint_started').length === 1)
    const abort = new AbortController()
    const second = stage.pit.checkpointSeat(mission_id, 'phoenix', 'test', abort.signal)
    abort.abort(new Error('called off'))
    await expect(second).rejects.toThrow('called off')
    hold.resolve()
    expect((await first).sequence).toBe(1)
    expect(stage.events('checkpoint_started')).toHaveLength(1)
  })

  test('an agent that dies in the middle of a checkpoint: that one is whole, and the agent comes back after it', async () => {
    const { stage, mission_id, checkpoint } = await seated()
    await using _ = stage
    const hold = Promise.withResolvers<void>()
    stage.store.hold = hold.promise
    const taken = checkpoint()
    await stage.until(mission_id, () => stage.events('checkpoint_started').length === 1)
    stage.sandbox(mission_id).kill('SIGKILL')
    await stage.until(mission_id, ({ status }) => status === 'dead')
    expect(stage.events('spawn_started')).toHaveLength(1)
    hold.resolve()
    expect((await taken).sequence).toBe(1)
    await stage.until(mission_id, ({ status, generation }) => status === 'active' && generation === 2)
    expect(stage.store.takingMost).toBe(1)
  })
})

describe('a restore', () => {
  test.each([
    ['its mission is being destroyed', (stage: Stage, id: string) => stage.pit.destroyMission(id, true)],
    ['it is being withdrawn', (stage: Stage, id: string) => stage.pit.withdrawSeat(id, 'phoenix', true)],
  ])('of a seat is refused while %s, and nothing comes back', async (_, end) => {
    const { stage, mission_id, checkpoint } = await seated()
    await using _stage = stage
    const { checkpoint_id } = await checkpoint()
    const begun = Promise.withResolvers<void>()
    stage.fault = (step) => {
      if (step === 'end_sandbox') begun.resolve()
    }
    const ending = end(stage, mission_id)
    await begun.promise
    for (const verb of [
      () => stage.pit.restoreSeat(mission_id, 'phoenix', checkpoint_id, NEVER),
      () => stage.pit.reviveSeat(mission_id, 'phoenix', {}, NEVER),
      checkpoint,
    ])
      await expect(verb()).rejects.toMatchObject({ code: 'conflict' })
    await ending
    expect(stage.pit.readSeat(mission_id, 'phoenix').status).toBe('withdrawn')
    expect(stage.host.sandboxes.size).toBe(0)
  })
})
