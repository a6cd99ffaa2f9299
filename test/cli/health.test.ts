import { expect, test } from 'vitest'
import type { Application } from '../../src/app/application.ts'
import type { AgentDetail } from '../../src/contract/health.ts'
import { applicationOf, MISSION, nameOf, raise, seatOf } from '../http/stage.ts'
import { lazarus, on } from './terminal.ts'

const ada: AgentDetail = {
  agent_id: 'ada',
  status: 'unhealthy',
  last_heartbeat: 1_767_323_000,
  last_response: null,
  consecutive_failures: 3,
  response_time: null,
  error_message: 'No heartbeat for 900 s; its process runs\u001b[2J',
  metadata: { session: 's-1' },
  signs: [
    {
      mission_id: MISSION,
      process: 'active',
      generation: 2,
      last_output: null,
      last_heartbeat: 1_767_323_000,
      silence: 900,
      suspicion: 12.34,
    },
  ],
}
const relay: AgentDetail = {
  ...ada,
  agent_id: 'relay',
  status: 'healthy',
  last_heartbeat: null,
  last_response: 1_767_323_000,
  response_time: 0.0123,
  consecutive_failures: 0,
  error_message: null,
  metadata: {},
  signs: [],
}
const strip = ({ signs: _, ...health }: AgentDetail) => health
const report = {
  timestamp: 1_767_323_045.678,
  total_agents: 2,
  healthy: 1,
  degraded: 0,
  unhealthy: 1,
  agents: { ada: strip(ada), relay: strip(relay) },
}
const everything: Partial<Application> = {
  health: () => report,
  agentHealth: async (agent_id) => ({ ada, relay })[agent_id] ?? Promise.reject(new Error('unknown')),
}

async function said(...argv: string[]) {
  await using stage = await raise(applicationOf([seatOf('ada')], everything))
  return await on(stage, argv)
}

test('a line for every agent, and the sum', async () => {
  const { code, stdout } = await said('health')
  expect(code).toBe(0)
  const [head, first, second, sum] = stdout.split('\n')
  expect(head).toMatch(/^AGENT +HEALTH +FAILURES +HEARTBEAT +GATEWAY +WHY$/)
  expect(first).toMatch(/^ada +unhealthy +3 .* No heartbeat for 900 s; its process runs\\u001b\[2J$/)
  expect(second).toMatch(/^relay +healthy +0 +- +12 ms +-$/)
  expect(sum).toBe('2 agents: 1 healthy, 0 degraded, 1 unhealthy')
})

test('one agent, each sign of life for itself', async () => {
  const { code, stdout } = await said('health', 'ada')
  expect(code).toBe(0)
  expect(stdout).toMatch(/^health +unhealthy\nagent +ada\nfailures +3 in a row\n/)
  expect(stdout).toContain('{"session":"s-1"}')
  expect(stdout).toMatch(/\nMISSION +SEAT +GEN +HEARTBEAT +OUTPUT +SILENT +SUSPICION\n/)
  expect(stdout).toMatch(/ active +2 .* 15 min +12\.3\n$/)
  expect(stdout).not.toContain('\u001b')
})

test('--json is the answer of the API', async () => {
  expect(JSON.parse((await said('health', '--json')).stdout)).toEqual(report)
  expect(JSON.parse((await said('health', 'relay', '--json')).stdout)).toEqual(relay)
})

test('in a cell it shows the agent of that cell', async () => {
  const seat = seatOf('ada')
  await using stage = await raise(applicationOf([seat], everything))
  const socket = `${await stage.doors.open(nameOf(seat))}/cell.sock`
  const own = await lazarus(['health', '--socket', socket])
  expect([own.code, own.stdout]).toEqual([0, expect.stringMatching(/^health +unhealthy\nagent +ada\n/)])
  expect((await lazarus(['health', 'relay', '--socket', socket])).code).toBe(4)
})
