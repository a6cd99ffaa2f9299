import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Alert } from '../../src/app/alerts.ts'
import type { Context } from '../../src/app/context.ts'
import { watchCells } from '../../src/app/health-cells.ts'
import { fold } from '../../src/domain/mission.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { createCellDirectory } from '../../src/store/cell-directory.ts'
import { missionCreated, recorded } from '../support/missions.ts'

const MISSIONS = ['0b9f2c52-6f0e-4d0a-9a55-0c2e6f1b7a10', '7d1b1a44-93a5-4a2f-8f77-51c0f4f7f0a2'] as const
const HOUR_MS = 3_600_000

let dir: string
let now: number
let alerts: Alert[]
let watching: Disposable
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  dir = mkdtempSync(join(tmpdir(), 'lazarus-cells-'))
  now = 1_800_000_000_000
  alerts = []
})
afterEach(() => {
  watching[Symbol.dispose]()
  vi.useRealTimers()
  rmSync(dir, { recursive: true, force: true })
})

test('a cell whose heartbeat file is too old raises one alert until it is fresh again, a finished one none', async () => {
  const clock = { now: () => now, monotonic: () => now }
  const cells = createCellDirectory({ missionsPath: dir, clock, ledger: { read: () => [] } })
  const states = MISSIONS.map((mission_id, i) => {
    const events = recorded(mission_id, [
      missionCreated({ timeout: 3600 }),
      ...(i === 1 ? [{ type: 'mission_completed', agent_id: null, data: {} } as const] : []),
    ])
    return { state: fold(events)!, events }
  })
  for (const { state, events } of states) {
    await cells.lay(state.mission_id)
    await cells.write(state, events)
  }
  mkdirSync(join(dir, 'not-a-cell'))
  writeFileSync(join(dir, 'a-file'), '')

  const looks: Promise<unknown>[] = []
  const scan: typeof cells.scan = (...given) => {
    const look = cells.scan(...given)
    looks.push(look)
    return look
  }
  watching = watchCells({
    cells: { ...cells, scan },
    clock,
    log: silentLog,
    config: { timeout: 300 },
    book: { all: () => states.map(({ state }) => state) },
    alerts: (alert: Alert) => alerts.push(alert),
  } as unknown as Context)
  const look = async (passes_ms: number) => {
    now += passes_ms
    vi.advanceTimersByTime(300_000)
    await vi.waitFor(() => expect(looks.length).toBeGreaterThan(seen))
    await Promise.all(looks)
    await new Promise((resolve) => setImmediate(resolve))
    seen = looks.length
    return alerts.splice(0)
  }
  let seen = 0
  await vi.waitFor(() => expect(looks).toHaveLength(1))
  await Promise.all(looks)
  seen = 1

  expect(await look(HOUR_MS / 2)).toEqual([])
  const stale = { kind: 'cell_stale', cell_id: MISSIONS[0], path: join(dir, MISSIONS[0]), age_s: 5400 }
  expect(await look(HOUR_MS)).toEqual([stale])
  expect(await look(HOUR_MS)).toEqual([])
  await cells.heartbeat(states[0]!.state, now)
  expect(await look(0)).toEqual([])
  expect(await look(2 * HOUR_MS)).toEqual([{ ...stale, age_s: 7200 }])
})
