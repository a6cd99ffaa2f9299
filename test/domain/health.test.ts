import { describe, expect, test } from 'vitest'
import { agentHealth as agentSchema, healthReport as reportSchema } from '../../src/contract/health.ts'
import type { SeatStatus } from '../../src/contract/seat.ts'
import {
  agentHealth,
  answered,
  causeOfDeath,
  failure,
  healthReport,
  heartbeat,
  newcomer,
  pollAfter,
  standingOf,
} from '../../src/domain/health.ts'

const MISSION = '0b9f2c52-6f0e-4d0a-9a55-0c2e6f1b7a10'
const died = {
  cause: 'signal',
  code: null,
  signal: 'SIGKILL',
  died_at: '',
  noticed_at: '',
  noticed_by: 'shim',
} as const
const ada = newcomer('ada', MISSION)

test('healthy, degraded after a failure, unhealthy from the third in a row, healthy when it is heard', () => {
  const states = [ada]
  for (let i = 0; i < 4; i++) states.push(failure(states.at(-1)!, 'silent'))
  states.push(heartbeat(states.at(-1)!, 5000, 1, {}))
  expect(states.map((state) => agentHealth([state]).status)).toEqual([
    'healthy',
    'degraded',
    'degraded',
    'unhealthy',
    'unhealthy',
    'healthy',
  ])
  expect(agentHealth([states[4]!])).toMatchObject({ consecutive_failures: 4, error_message: 'silent' })
  expect(agentHealth([states[5]!])).toMatchObject({ consecutive_failures: 0, error_message: null, last_heartbeat: 5 })
})

test('a failure in between starts the count anew', () => {
  const twice = failure(failure(ada, 'a'), 'b')
  expect(agentHealth([failure(answered(twice, 1000, 12), 'c')])).toMatchObject({
    status: 'degraded',
    consecutive_failures: 1,
    last_response: 1,
    response_time: 0.012,
  })
})

test('an empty heartbeat leaves what the agent said before', () => {
  const told = heartbeat(ada, 1000, 1, { session: 's-1' })
  expect(heartbeat(told, 2000, 1, {}).metadata).toEqual({ session: 's-1' })
  expect(heartbeat(told, 2000, 1, { session: 's-2' }).metadata).toEqual({ session: 's-2' })
})

test('an agent in several places is as well as in the worst, and was heard where it spoke last', () => {
  const here = heartbeat(ada, 9000, 1, { where: 'here' })
  const gateway = failure(answered(newcomer('ada', null), 4000, 30), 'Answered 500')
  const both = agentHealth([here, gateway])
  expect(both).toEqual({
    agent_id: 'ada',
    status: 'degraded',
    last_heartbeat: 9,
    last_response: 4,
    consecutive_failures: 1,
    response_time: 0.03,
    error_message: 'Answered 500',
    metadata: { where: 'here' },
  })
  expect(agentSchema.parse(both)).toEqual(both)
})

test('the report counts every agent once', () => {
  const agents = [ada, failure(newcomer('bob', MISSION), 'x'), newcomer('eve', null)].map((one) => agentHealth([one]))
  const report = healthReport(1_500, agents)
  expect(report).toMatchObject({ timestamp: 1.5, total_agents: 3, healthy: 2, degraded: 1, unhealthy: 0 })
  expect(Object.keys(reportSchema.parse(report).agents)).toEqual(['ada', 'bob', 'eve'])
})

test('what an agent or a gateway made long is cut', () => {
  expect(agentHealth([failure(ada, 'x'.repeat(10_000))]).error_message).toHaveLength(300)
})

describe('how a seat stands', () => {
  const ended = { ...died, cause: 'exit', code: 0, signal: null } as const
  const failed = { ...died, cause: 'exit', code: 1, signal: null } as const
  test.each([
    ['active', null, 'running'],
    ['spawning', null, 'excused'],
    ['reviving', died, 'excused'],
    ['paused', null, 'excused'],
    ['dead', ended, 'excused'],
    ['dead', failed, 'dead'],
    ['dead', died, 'dead'],
    ['awaiting_approval', died, 'dead'],
    ['quarantined', failed, 'dead'],
    ['released', died, 'gone'],
    ['withdrawing', null, 'gone'],
    ['withdrawn', null, 'gone'],
    ['failed', null, 'gone'],
  ] as const)('%s after %o: %s', (status: SeatStatus, exit, standing) => {
    expect(standingOf({ status: 'active' }, { status, exit })).toBe(standing)
  })

  test.each(['completed', 'failed', 'archived', 'destroying', 'destroyed'] as const)(
    'no agent is in a mission that is %s',
    (status) => {
      expect(standingOf({ status }, { status: 'active', exit: null })).toBe('gone')
    },
  )
})

test('a death is told in words', () => {
  expect(causeOfDeath({ exit: died, error: null })).toBe('It died: signal (SIGKILL)')
  expect(causeOfDeath({ exit: { ...died, cause: 'exit', code: 3, signal: null }, error: null })).toBe(
    'It died: exit (code 3)',
  )
  expect(causeOfDeath({ exit: { ...died, cause: 'runtime_gone', signal: null }, error: null })).toBe(
    'It died: runtime_gone',
  )
  expect(causeOfDeath({ exit: null, error: { code: 'spawn_failed', message: 'no image' } })).toBe(
    'Its revival failed: no image',
  )
})

test('a gateway that fails is asked at the usual pace until it is unhealthy, then less and less', () => {
  expect([0, 1, 2, 3, 4, 5, 6, 7, 1000].map((failures) => pollAfter(30, failures) / 30)).toEqual([
    1, 1, 1, 2, 4, 8, 16, 16, 16,
  ])
})
