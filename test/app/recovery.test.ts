import { describe, expect, test } from 'vitest'
import type { SeatStatus } from '../../src/contract/seat.ts'
import { NEVER, Stage } from './stage.ts'

/**
 * The ledger's last word × what the host shows, as it stands in docs and in the heads of those who wrote recover.ts: every
 * cell, and every cell again with the pit killed at each step of the recovery itself.
 */
type Shows = 'lives' | 'dead' | 'not there'

interface Row {
  /** Brings a pit to this word of the ledger, and kills it there. */
  lead(stage: Stage, mission_id: string): Promise<void>
  /** The seat after recovery, where its sandbox showed this. */
  readonly ends: Record<Shows, { readonly status: SeatStatus; readonly generation: number }>
  /** Whether the very process that lived goes on. */
  readonly adopts?: boolean
  also?(stage: Stage, mission_id: string): void
}

const alive = (generation: number) => ({ status: 'active', generation }) as const

/** The verb runs until the pit is killed before its `point`; it is never answered. */
async function killAt(stage: Stage, point: string, verb: () => Promise<unknown>): Promise<void> {
  const killed = Promise.withResolvers<void>()
  stage.fault = (step) => {
    if (step !== point) return
    stage.kill()
    killed.resolve()
  }
  void verb().catch(() => {})
  await killed.promise
  stage.fault = () => {}
}

const seated = async (stage: Stage, mission_id: string): Promise<string> => {
  await stage.seat(mission_id)
  stage.store.layers.set(`${mission_id}/phoenix`, 'work')
  return (await stage.pit.checkpointSeat(mission_id, 'phoenix', 'test', NEVER)).checkpoint_id
}

const LEDGER: Record<string, Row> = {
  'spawn_started, of a first start': {
    lead: (stage, mission_id) => killAt(stage, 'record_spawn', () => stage.seat(mission_id)),
    ends: { lives: alive(1), dead: alive(1), 'not there': alive(1) },
    adopts: true,
  },
  'spawn_started, of a revival': {
    lead: async (stage, mission_id) => {
      await seated(stage, mission_id)
      await killAt(stage, 'record_spawn', async () => stage.sandbox(mission_id).kill('SIGKILL'))
    },
    ends: { lives: alive(2), dead: alive(2), 'not there': alive(2) },
    adopts: true,
  },
  seat_spawned: {
    lead: async (stage, mission_id) => {
      await seated(stage, mission_id)
      stage.kill()
    },
    ends: { lives: alive(1), dead: alive(2), 'not there': alive(2) },
    adopts: true,
  },
  'seat_exited, queued': {
    lead: async (stage, mission_id) => {
      await seated(stage, mission_id)
      const { spec } = stage.sandbox(mission_id)
      await killAt(stage, 'end_sandbox', async () => stage.sandbox(mission_id).kill('SIGKILL'))
      stage.host.start(spec) // one of that generation that would not die
    },
    ends: { lives: alive(2), dead: alive(2), 'not there': alive(2) },
  },
  checkpoint_started: {
    lead: async (stage, mission_id) => {
      await seated(stage, mission_id)
      const taking = Promise.withResolvers<void>()
      stage.store.hold = taking.promise
      void stage.pit.checkpointSeat(mission_id, 'phoenix', 'test', NEVER)
      await stage.until(mission_id, () => stage.events('checkpoint_started').length === 2)
      while (!stage.sandbox(mission_id).frozen) await new Promise(setImmediate)
      stage.kill()
      stage.store.hold = Promise.resolve()
    },
    ends: { lives: alive(1), dead: alive(2), 'not there': alive(2) },
    adopts: true,
    also: (stage) => {
      const failed = stage.events('checkpoint_failed').filter(({ data }) => 'error' in data && data.error !== null)
      expect(failed[0]).toMatchObject({ data: { sequence: 2, error: { code: 'interrupted' } } })
    },
  },
  restore_started: {
    lead: async (stage, mission_id) => {
      const checkpoint_id = await seated(stage, mission_id)
      stage.store.layers.set(`${mission_id}/phoenix`, 'later')
      const restore = () => stage.pit.restoreSeat(mission_id, 'phoenix', checkpoint_id, NEVER)
      await killAt(stage, 'swap_layer', restore)
      if (stage.host.sandboxes.size === 0) stage.host.start({ ...SPEC, name: { ...SPEC.name, mission_id } })
    },
    ends: { lives: alive(2), dead: alive(2), 'not there': alive(2) },
    also: (stage, mission_id) => expect(stage.store.layers.get(`${mission_id}/phoenix`)).toBe('work'),
  },
  withdraw_started: {
    lead: async (stage, mission_id) => {
      await seated(stage, mission_id)
      await killAt(stage, 'end_sandbox', () => stage.pit.withdrawSeat(mission_id, 'phoenix', true))
    },
    ends: {
      lives: { status: 'withdrawn', generation: 1 },
      dead: { status: 'withdrawn', generation: 1 },
      'not there': { status: 'withdrawn', generation: 1 },
    },
    also: (stage) => expect(stage.store.layers.size).toBe(0),
  },
  destroy_started: {
    lead: async (stage, mission_id) => {
      await seated(stage, mission_id)
      await killAt(stage, 'end_sandbox', () => stage.pit.destroyMission(mission_id, true))
    },
    ends: {
      lives: { status: 'withdrawn', generation: 1 },
      dead: { status: 'withdrawn', generation: 1 },
      'not there': { status: 'withdrawn', generation: 1 },
    },
    also: (stage, mission_id) => expect(stage.pit.inspectMission(mission_id).status).toBe('destroyed'),
  },
  'mission_completed, before its seats were stopped': {
    lead: async (stage, mission_id) => {
      await seated(stage, mission_id)
      await killAt(stage, 'end_sandbox', () => stage.pit.completeMission(mission_id))
    },
    ends: {
      lives: { status: 'dead', generation: 1 },
      dead: { status: 'dead', generation: 1 },
      'not there': { status: 'dead', generation: 1 },
    },
  },
}

/** What a sandbox that nobody knows was started with. */
const SPEC = {
  name: { mission_id: '', agent_id: 'phoenix', generation: 1 },
  command: ['sleep', 'infinity'],
  environment: {},
  log_path: '/dev/null',
  run_dir: '/nonexistent',
} as never as Parameters<Stage['host']['start']>[0]

async function show(stage: Stage, mission_id: string, shows: Shows): Promise<number | null> {
  const own = [...stage.host.sandboxes].filter(([, { spec }]) => spec.name.mission_id === mission_id)
  for (const [key, sandbox] of own) {
    if (shows === 'lives') return sandbox.pid
    sandbox.kill('SIGKILL')
    await sandbox.ended
    if (shows === 'not there') stage.host.sandboxes.delete(key)
  }
  return null
}

async function requireEnd(stage: Stage, mission_id: string, row: Row, shows: Shows, pid: number | null): Promise<void> {
  const { status, generation } = row.ends[shows]
  const seat = await stage.until(mission_id, (now) => now.status === status && now.generation === generation)
  const living = [...stage.host.sandboxes.values()].filter(({ end }) => !end)
  expect(living).toHaveLength(status === 'active' ? 1 : 0)
  if (status === 'active') {
    expect(living[0]).toMatchObject({ frozen: false, spec: { name: { generation } } })
    if (row.adopts && shows === 'lives') expect(living[0]!.pid).toBe(pid)
  }
  const begun = stage.events('spawn_started').map(({ data }) => 'generation' in data && data.generation)
  expect(begun, 'no generation twice').toEqual([...new Set(begun)])
  expect(stage.pit.listRevivals()).toEqual([])
  expect(stage.store.staged.size).toBe(0)
  if (seat.status !== 'withdrawn')
    for (const { checkpoint_id } of stage.pit.listCheckpoints(mission_id, 'phoenix'))
      expect(stage.store.archives.has(checkpoint_id)).toBe(true)
  row.also?.(stage, mission_id)
}

/** Recovers once, killed before the step of that number when there is one; tells how many steps there were. */
async function recover(stage: Stage, dies_at: number): Promise<number> {
  let passed = 0
  const killed = Promise.withResolvers<void>()
  stage.fault = () => {
    passed += 1
    if (passed !== dies_at) return
    stage.kill()
    killed.resolve()
  }
  stage.start()
  await Promise.race([stage.pit.recovered(), killed.promise])
  return passed
}

describe.each(Object.entries(LEDGER))('the ledger says %s', (_, row) => {
  test.each(['lives', 'dead', 'not there'] as const)('and the host shows: %s', async (shows) => {
    for (let dies_at = 0; ; dies_at += 1) {
      await using stage = await Stage.open()
      const mission_id = await stage.mission()
      await row.lead(stage, mission_id)
      const pid = await show(stage, mission_id, shows)
      const passed = await recover(stage, dies_at)
      if (stage.isKilled) await recover(stage, 0)
      stage.fault = () => {}
      await requireEnd(stage, mission_id, row, shows, pid)
      if (dies_at > passed) break
    }
  })
})

describe('the ledger says nothing', () => {
  test('of the mission: the sandbox is ended', async () => {
    await using stage = await Stage.open()
    stage.kill()
    stage.host.start({ ...SPEC, name: { ...SPEC.name, mission_id: '0b7c7f8e-53c7-4d2a-9d55-1f7c3f1b2a10' } })
    await recover(stage, 0)
    expect(stage.host.sandboxes.size).toBe(0)
  })

  test.each(['lives', 'dead'] as const)(
    'of that generation, and it shows: %s: ended, and an incident',
    async (shows) => {
      await using stage = await Stage.open()
      const mission_id = await stage.mission({ retry_window: 0.001 })
      await seated(stage, mission_id)
      stage.sandbox(mission_id).kill('SIGKILL')
      await stage.until(mission_id, ({ status, generation }) => status === 'active' && generation === 2)
      const { pid } = stage.sandbox(mission_id)
      stage.kill()
      const orphan = stage.host.start({ ...SPEC, name: { ...SPEC.name, mission_id } })
      if (shows === 'dead') orphan.kill('SIGKILL')
      await recover(stage, 0)
      expect(stage.sandbox(mission_id).pid).toBe(pid)
      expect(stage.pit.listIncidents(mission_id).at(-1)).toMatchObject({
        cause: 'orphan',
        outcome: 'reaped',
        generation: 1,
      })
    },
  )
})

test('a checkpoint that is asked for while the pit recovers is not swept away', async () => {
  await using stage = await Stage.open()
  const mission_id = await stage.mission()
  await seated(stage, mission_id)
  stage.kill()
  const hold = Promise.withResolvers<void>()
  stage.store.sweepHold = hold.promise
  stage.start()
  const asked = stage.pit.checkpointSeat(mission_id, 'phoenix', 'test', NEVER)
  await new Promise((resolve) => setTimeout(resolve, 50)) // time to go wrong in
  hold.resolve()
  const { checkpoint_id } = await asked
  await stage.pit.recovered()
  await stage.pit.verifyCheckpoint(mission_id, 'phoenix', checkpoint_id, NEVER)
  expect(stage.pit.listCheckpoints(mission_id, 'phoenix')).toHaveLength(2)
})

test('a mission that was paused in the middle is frozen whole', async () => {
  await using stage = await Stage.open()
  const mission_id = await stage.mission()
  await seated(stage, mission_id)
  void stage.pit.pauseMission(mission_id)
  await stage.until(mission_id, ({ status }) => status === 'paused')
  stage.kill()
  stage.sandbox(mission_id).frozen = false // as if the pit had died before it came to that
  await recover(stage, 0)
  expect(stage.sandbox(mission_id).frozen).toBe(true)
})
