import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PitProcess } from '../../support/pit-process.ts'
import { processesWith, tracesOf } from '../cgroup-witness.ts'
import { LEVELS, MIB, Mission } from '../seat-with-limits.ts'

/** On a machine whose administrator delegates memory and pids but no cpu (test/vm/guest/undelegate made it one). */
let pit: PitProcess
beforeAll(async () => {
  pit = await PitProcess.start()
})
afterAll(() => pit?.[Symbol.asyncDispose]())

test('level_1 level_2 level_3: the host says that cpu is not delegated', async () => {
  const { body } = await pit.call('GET', '/v1/host')
  expect([...body.delegated_controllers].sort()).toEqual(['memory', 'pids'])
})

describe.each(LEVELS)('a limit that is not delegated, at %s', (level) => {
  let mission: Mission
  beforeAll(async () => {
    mission = await Mission.open(pit, level)
  })
  afterAll(() => mission?.[Symbol.asyncDispose]())

  test('fails closed, with the remedy and nothing left behind', async () => {
    const word = `lazarus-vm-refused-${level}-${process.pid}`
    const { status, body } = await mission.ask('refused', { cpu: 0.5 }, ['sh', '-c', 'sleep infinity', word])
    expect([status, body.error?.code]).toEqual([422, 'isolation_degraded'])
    expect(body.error.message).toContain('limits.cpu')
    expect(body.error.remedy).not.toBe('')
    expect(await processesWith(word)).toEqual([])
    expect(await tracesOf(mission.id)).toEqual([])
    const { body: seats } = await pit.call('GET', `/v1/missions/${mission.id}/seats`)
    expect(seats.seats.map((seat: { status: string }) => seat.status)).not.toContain('active')
  })

  test('is refused by name only: without it the same seat starts, and says what it lacks', async () => {
    const { isolation } = await mission.seat('plain', { memory: 256 * MIB })
    expect(isolation.effective.degraded).toContain('limits.cpu')
    expect(await tracesOf(mission.id)).not.toEqual([])
    expect(isolation.effective.limits.memory).toEqual({ value: 256 * MIB, enforced_by: 'cgroup' })
  })
})
