import { describe, expect, it } from 'vitest'
import { agentFile, CELL_FILES, stateHeartbeatFile } from '../../src/contract/cell.ts'
import type { DomainEvent } from '../../src/contract/event.ts'
import { agentView, cellViews, heartbeatView } from '../../src/domain/cell-views.ts'
import { fold, type MissionState } from '../../src/domain/mission.ts'
import { missionCreated, recorded, seatRequested } from '../support/missions.ts'
import { policyOf } from '../support/policies.ts'

const MISSION = '0b7c7f8e-53c7-4d2a-9d55-1f7c3f1b2a10'
const AT = '2026-01-01T00:00:00.000Z'
const after = (...events: DomainEvent[]): MissionState =>
  fold(recorded(MISSION, [missionCreated({ directory: '/m' }), ...events]))!

const exited = (code: number | null): DomainEvent => ({
  type: 'seat_exited',
  agent_id: 'builder',
  data: { generation: 1, exit: { cause: 'exit', code, signal: null, died_at: AT, noticed_at: AT, noticed_by: 'test' } },
})
const NOTHING = { processes: 0, containers: 0, mounts: 0 }

describe('the files of a cell', () => {
  it('are what their schemas say, at every level', () => {
    for (const level of ['level_1', 'level_2', 'level_3', 'none'] as const) {
      const created = missionCreated({ isolation_level: level, policy: policyOf(level), directory: '/m' })
      const state = fold(recorded(MISSION, [created, seatRequested('builder')]))!
      for (const [name, view] of Object.entries(cellViews(state)))
        CELL_FILES[name as keyof typeof CELL_FILES].parse(view)
      stateHeartbeatFile.parse(heartbeatView(state, AT))
      agentFile.parse(agentView(state, 'builder'))
    }
  })

  it('say what the policy declares', () => {
    const policy = policyOf('level_2', { network: 'host', seccomp: null, limits: { memory: 64 * 1024 ** 2, pids: 5 } })
    const state = fold(recorded(MISSION, [missionCreated({ policy })]))!
    expect(cellViews(state)['config/isolation.json']).toMatchObject({
      network_isolation: false,
      mount_namespaces: true,
      resource_limits: { memory: 64 * 1024 ** 2 },
      security_context: { seccomp: false },
    })
  })

  it('give each role its permissions, and nobody who withdrew any', () => {
    const state = after(
      ...(['lead', 'write', 'read', 'audit'] as const).map((role) => seatRequested(role, { role })),
      seatRequested('gone'),
      { type: 'seat_withdrawn', agent_id: 'gone', data: { final_checkpoint: null, released: NOTHING } },
    )
    const permissions = cellViews(state)['config/permissions.json']
    expect(Object.fromEntries(Object.entries(permissions).map(([id, { read, write }]) => [id, [read, write]]))).toEqual(
      {
        lead: [true, true],
        write: [true, true],
        read: [true, false],
        audit: [false, false],
      },
    )
    expect(agentView(state, 'gone')).toBeNull()
    expect(agentView(state, 'stranger')).toBeNull()
  })

  it.each([
    ['waiting', [], 'idle'],
    ['active', [{ type: 'seat_resumed', agent_id: 'builder', data: {} }], 'active'],
    ['paused', [{ type: 'seat_paused', agent_id: 'builder', data: {} }], 'paused'],
    ['done', [exited(0)], 'idle'],
    ['dead', [exited(137)], 'failed'],
    ['gone without a word', [exited(null)], 'failed'],
    [
      'never started',
      [{ type: 'spawn_failed', agent_id: 'builder', data: { generation: 1, error: { code: 'x', message: 'y' } } }],
      'failed',
    ],
  ] as [string, DomainEvent[], string][])('an agent that is %s', (_, events, status) => {
    expect(agentView(after(seatRequested('builder'), ...events), 'builder')?.status).toBe(status)
  })

  it('know four states of a cell, and the mission file all of them', () => {
    const archived = after(
      { type: 'mission_completed', agent_id: null, data: {} },
      { type: 'mission_archived', agent_id: null, data: { record: '/r' } },
    )
    expect(cellViews(archived)['cell.json'].status).toBe('completed')
    expect(cellViews(archived)['meta/mission.json'].status).toBe('archived')
  })
})
