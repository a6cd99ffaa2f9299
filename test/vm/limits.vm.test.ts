import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PitProcess } from '../support/pit-process.ts'
import { agentWith, coresUsed, counted, limitedBy, number } from './cgroup-witness.ts'
import { LEVELS, MIB, Mission } from './seat-with-limits.ts'

/**
 * Limits that somebody asked for by name, where cgroups are delegated: what the pit says is held against the kernel's
 * own counters, and each limit has a control in which the same work passes without it.
 */
let pit: PitProcess
beforeAll(async () => {
  pit = await PitProcess.start()
})
afterAll(() => pit?.[Symbol.asyncDispose]())

/** 256 MiB, piece by piece: a longer constant would be held twice. */
const take = (then: string): string =>
  `exec perl -e '$| = 1; my $x = ""; $x .= "x" x 1048576 for 1 .. 256; print "took it\\n"; ${then}'`
/** An agent that does so itself, once it was measured and somebody says so. */
const GREEDY = ['sh', '-c', `until [ -e go ]; do sleep 0.2; done; ${take('sleep')}`]
/** Wants two processors. */
const BUSY = 'while :; do :; done & while :; do :; done'

const marker = (what: string, level: string): string => `lazarus-vm-${what}-${level}-${process.pid}`

describe.each(LEVELS)('limits of a seat at %s', (level) => {
  let mission: Mission
  beforeAll(async () => {
    mission = await Mission.open(pit, level)
  })
  afterAll(() => mission?.[Symbol.asyncDispose]())

  test('memory: a seat over its limit dies, and the cause says so', async () => {
    const { isolation } = await mission.seat('greedy', { memory: 128 * MIB }, GREEDY)
    expect(isolation.effective.limits.memory).toEqual({ value: 128 * MIB, enforced_by: 'cgroup' })
    await mission.exec('greedy', 'touch go')
    expect(await mission.exit('greedy')).toMatchObject({ cause: 'oom' })
  })

  test('memory: the same seat lives below a larger limit', async () => {
    await mission.seat('modest', { memory: 512 * MIB }, GREEDY)
    await mission.exec('modest', 'touch go')
    const path = `/v1/missions/${mission.id}/seats/modest`
    const seen = async () => ({
      said: (await pit.call('GET', `${path}/logs`)).body,
      exit: (await pit.call('GET', path)).body.exit,
    })
    await expect
      .poll(
        async () => {
          const { said, exit } = await seen()
          return said !== '' || exit !== null
        },
        { timeout: 300_000 },
      )
      .toBe(true)
    expect(await seen()).toEqual({ said: 'took it\n', exit: null })
  })

  test('memory: a command run in the seat counts too', async () => {
    await mission.seat('helper', { memory: 128 * MIB })
    const { exit_code, stdout } = await mission.exec('helper', take('exit'))
    expect(exit_code).not.toBe(0)
    expect(stdout).toBe('')
    // The whole seat ends with it, at every level.
    expect(await mission.exit('helper')).toMatchObject({ cause: 'oom' })
  })

  test('pids: a fork bomb stops at the limit and the host goes on', async () => {
    const word = marker('bomb', level)
    const { isolation } = await mission.seat('bomber', { pids: 64 }, ['sh', '-c', 'sleep infinity', word])
    expect(isolation.effective.limits.pids).toEqual({ value: 64, enforced_by: 'cgroup' })
    const pid = await agentWith(word)
    const { path, value } = await limitedBy(pid, 'pids.max')
    expect(Number(value)).toBeLessThanOrEqual(64 + 8) // a shim or a runtime may stand beside the agent
    const bomb = mission.exec('bomber', 'bomb() { bomb | bomb & }; bomb; while :; do sleep 1; done', 20)
    await expect.poll(() => number(path, 'pids.peak'), { timeout: 300_000 }).toBeGreaterThan(48)
    expect((await pit.call('GET', '/healthz')).status).toBe(200)
    await bomb
    expect(await number(path, 'pids.peak')).toBeLessThanOrEqual(Number(value))
  })

  test('pids: the same number of processes fits below a larger limit', async () => {
    await mission.seat('orderly', { pids: 256 })
    const { exit_code, stderr } = await mission.exec(
      'orderly',
      'i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done; wait',
    )
    expect({ exit_code, stderr }).toEqual({ exit_code: 0, stderr: '' })
  })

  test('cpu: a busy seat gets its share and no more', async () => {
    const word = marker('half', level)
    const { isolation } = await mission.seat('half', { cpu: 0.5 }, ['sh', '-c', BUSY, word])
    expect(isolation.effective.limits.cpu).toEqual({ value: 0.5, enforced_by: 'cgroup' })
    const pid = await agentWith(word)
    const { path } = await limitedBy(pid, 'cpu.max')
    const cores = await coresUsed(path)
    expect(cores).toBeGreaterThan(0.3)
    expect(cores).toBeLessThan(0.65)
    expect(await counted(path, 'cpu.stat', 'nr_throttled')).toBeGreaterThan(0)
    await mission.withdraw('half')
  })

  test('cpu: the same seat takes a whole core below a larger limit', async () => {
    const word = marker('whole', level)
    await mission.seat('whole', { cpu: 2 }, ['sh', '-c', BUSY, word])
    const pid = await agentWith(word)
    expect(await coresUsed((await limitedBy(pid, 'cpu.max')).path)).toBeGreaterThan(0.65)
    await mission.withdraw('whole')
  })
})

test('level_1 level_2 level_3: the host reports that all three limits are delegated', async () => {
  const { body } = await pit.call('GET', '/v1/host')
  expect(body.cgroups).toBe('v2')
  expect([...body.delegated_controllers].sort()).toEqual(['cpu', 'memory', 'pids'])
  expect(body.levels.map((report: { status: string }) => report.status)).not.toContain('unavailable')
})
