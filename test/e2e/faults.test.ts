import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Principal } from '../../src/app/application.ts'
import type { IsolationLevel } from '../../src/contract/ids.ts'
import { missionRequest } from '../../src/contract/mission.ts'
import { seatRequest } from '../../src/contract/seat.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { compose } from '../../src/main/compose.ts'
import { readSettings } from '../../src/main/settings.ts'
import { makeRepository } from '../support/repository.ts'

const OPERATOR: Principal = { kind: 'operator', via: 'socket' }
const NEVER = new AbortController().signal

/** The workspace takes the same steps at every level: they fail at one of them. */
const OF_THE_WORKSPACE = /^(mirror|base|trusted|layer|collect|trash|mission)\./

let repository: Awaited<ReturnType<typeof makeRepository>>
beforeAll(async () => {
  repository = await makeRepository()
})
afterAll(() => repository[Symbol.asyncDispose]())

/** A pit in this process, with one place where a step can be made to fail. */
async function makePit() {
  const dir = await mkdtemp('/var/tmp/faults-')
  const seen: string[] = []
  let failing: string | null = null
  let full = false
  const faults = (point: string) => {
    seen.push(point)
    if (point !== failing) return
    failing = null
    throw Object.assign(new Error(`injected before ${point}`), full ? { code: 'ENOSPC' } : {})
  }
  const settings = readSettings({
    ...process.env,
    LAZARUS_STATE_DIR: join(dir, 'state'),
    LAZARUS_MISSIONS_PATH: join(dir, 'missions'),
    LAZARUS_LISTEN: '127.0.0.1:0',
  })
  const running = await compose(settings, silentLog, faults)
  await running.pit.ready()
  return {
    app: running.pit,
    seen,
    failOnce: (point: string, diskFull = false) => {
      failing = point
      full = diskFull
    },
    remains: () => {
      const places = ['missions', 'state/sandboxes', 'state/doors', 'state/vault'].map((place) => join(dir, place))
      const args = [...places.filter((place) => existsSync(place)), '-mindepth', '1', '-type', 'f,d,s']
      return execFileSync('find', args, { encoding: 'utf8' })
    },
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
type TestPit = Awaited<ReturnType<typeof makePit>>

/** Open, seat with a secret in its environment, commit, collect, destroy. */
async function life(
  { app }: TestPit,
  level: IsolationLevel,
  attempt: <T>(verb: () => Promise<T>) => Promise<T>,
): Promise<void> {
  const mission = await attempt(() =>
    app.createMission(
      missionRequest.parse({ mission_name: 'faults', isolation_level: level, repo: repository.path }),
      OPERATOR,
      NEVER,
    ),
  )
  const id = mission.mission_id
  await attempt(() => app.addSeat(id, seatRequest.parse({ agent_id: 'builder', env: { SECRET: 'canary' } }), NEVER))
  const done = await attempt(() =>
    app.execWhole(
      id,
      'builder',
      { command: ['sh', '-c', 'echo work > work && git add work && git commit -qm Work; echo $SECRET'] },
      NEVER,
    ),
  )
  expect(done).toMatchObject({ exit_code: 0, stdout: 'canary\n' })
  expect(await attempt(() => app.collect(id, 'builder', NEVER))).toMatchObject({
    outcome: 'delivered',
    commits: [{ subject: 'Work' }],
  })
  const report = await attempt(() => app.destroyMission(id, false))
  expect(report).toMatchObject({ status: 'destroyed', homes: { changed: [] } })
  expect(report.final_checkpoints.map(({ agent_id }) => agent_id)).toEqual(['builder'])
}

describe.each(['level_1', 'level_2', 'level_3'] as const)('every step of a life at %s', (level) => {
  test('may fail once: the verb says so, and repeated it succeeds as if nothing had happened', async () => {
    await using pit = await makePit()
    // The first life also makes what lives share (mirror, base); the second one shows the steps of every life.
    for (const _ of [1, 2]) {
      pit.seen.length = 0
      await life(pit, level, (verb) => verb())
    }
    const points = [...new Set(pit.seen)].filter((point) => level === 'level_2' || !OF_THE_WORKSPACE.test(point))
    expect(points).toEqual(
      expect.arrayContaining([
        'open_layer',
        'open_door',
        'start_sandbox',
        'end_sandbox',
        'save_layer',
        'remove_layer',
        'remove_directory',
      ]),
    )
    const outcomes: Record<string, number> = {}
    for (const point of points) {
      pit.failOnce(point)
      let failures = 0
      const twice = async <T>(verb: () => Promise<T>): Promise<T> => {
        try {
          return await verb()
        } catch {
          failures += 1
          return await verb()
        }
      }
      await life(pit, level, twice).catch((error) => {
        throw new Error(`after the fault at ${point}: ${error.message}`, { cause: error })
      })
      outcomes[point] = failures
      expect(pit.remains(), `left after the fault at ${point}`).toBe('')
    }
    const quiet = Object.entries(outcomes).filter(([, failures]) => failures === 0)
    expect(
      quiet.map(([point]) => point),
      'points whose failure nobody was told',
    ).toEqual([])
  }, 300_000)
})

/** Whoever asks for these is not told: what they do not clear away is cleared by the next sweep. */
const IN_THE_BACKGROUND = ['layer.remove', 'remove_checkpoint', 'checkpoint.remove']

test('level_2: every step of a checkpoint, a restore and a revival may fail once; repeated, each succeeds', async () => {
  await using pit = await makePit()
  const { app } = pit
  const request = { mission_name: 'lives', isolation_level: 'level_2', repo: repository.path }
  const policies = { auto_revive: 'no', checkpoint_interval: 86_400 } as const
  const { mission_id: id } = await app.createMission(missionRequest.parse({ ...request, policies }), OPERATOR, NEVER)
  await app.addSeat(id, seatRequest.parse({ agent_id: 'builder', command: ['sleep', '600'] }), NEVER)
  const shell = async (script: string) =>
    (await app.execWhole(id, 'builder', { command: ['sh', '-c', script] }, NEVER)).stdout

  const lives = async (attempt: <T>(verb: () => Promise<T>) => Promise<T>) => {
    await shell('echo before >work')
    const { checkpoint_id } = await attempt(() => app.checkpointSeat(id, 'builder', 'test', NEVER))
    await shell('echo after >work')
    await attempt(() => app.restoreSeat(id, 'builder', checkpoint_id, NEVER))
    expect(await shell('cat work')).toBe('before\n')
    await app.killSeat(id, 'builder', 'SIGKILL')
    while (app.readSeat(id, 'builder').status !== 'dead') await new Promise((go) => setTimeout(go, 5))
    await attempt(() => app.reviveSeat(id, 'builder', {}, NEVER))
    expect(await shell('cat work')).toBe('before\n')
    await attempt(() => app.removeCheckpoint(id, 'builder', checkpoint_id))
  }
  for (const _ of [1, 2]) {
    pit.seen.length = 0
    await lives((verb) => verb())
  }
  const quiet: string[] = []
  for (const point of new Set(pit.seen.filter((step) => step !== 'enter'))) {
    pit.failOnce(point)
    let failures = 0
    await lives(async (verb) => {
      try {
        return await verb()
      } catch {
        failures += 1
        return await verb()
      }
    }).catch((error) => {
      throw new Error(`after the fault at ${point}: ${error.message}`, { cause: error })
    })
    if (failures === 0) quiet.push(point)
    for (const { checkpoint_id } of app.listCheckpoints(id, 'builder'))
      await app.verifyCheckpoint(id, 'builder', checkpoint_id, NEVER)
  }
  expect(quiet.filter((point) => !IN_THE_BACKGROUND.includes(point))).toEqual([])
  await app.destroyMission(id, true)
  expect(pit.remains()).toBe('')
}, 300_000)

test('a disk that fills up in the middle of a spawn is told as such, and leaves nothing', async () => {
  await using pit = await makePit()
  const request = missionRequest.parse({ mission_name: 'full', isolation_level: 'level_2' })
  const { mission_id } = await pit.app.createMission(request, OPERATOR, NEVER)
  // The views tell of the attempt, and artifacts outlive their seats.
  const left = () => pit.remains().replaceAll(/.*\/(agents|logs|artifacts)\/.*\n/g, '')
  const before = left()
  for (const point of ['open_layer', 'layer.build', 'layer.appear', 'start_sandbox', 'hull', 'record', 'open']) {
    pit.failOnce(point, true)
    const spawn = pit.app.addSeat(mission_id, seatRequest.parse({ agent_id: 'builder' }), NEVER)
    await expect(spawn, point).rejects.toMatchObject({ code: 'storage_full' })
    expect(pit.app.readSeat(mission_id, 'builder'), point).toMatchObject({
      status: 'failed',
      error: { code: 'storage_full' },
    })
    expect(left(), point).toBe(before)
  }
  await pit.app.addSeat(mission_id, seatRequest.parse({ agent_id: 'builder' }), NEVER)
  await pit.app.destroyMission(mission_id, false)
  expect(pit.remains()).toBe('')
})
