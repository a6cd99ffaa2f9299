import type { DomainEvent, RecordedEvent } from '../../src/contract/event.ts'
import { cellPolicies } from '../../src/contract/mission.ts'
import { policyOf } from './policies.ts'

type Created = DomainEvent & { type: 'mission_created' }

/** The first event of a mission on an empty worktree, as a test may want it. */
export const missionCreated = (changes: Partial<Created['data']> = {}): Created => ({
  type: 'mission_created',
  agent_id: null,
  data: {
    mission_name: 'a mission',
    isolation_level: 'level_2',
    base: { repo: null, repository_key: null, ref: null, commit: null },
    workspace: 'overlay',
    max_agents: 10,
    timeout: 3600,
    policies: cellPolicies.parse({}),
    policy: policyOf('level_2'),
    created_by: 'operator',
    directory: '/nowhere',
    ...changes,
  },
})

export const seatRequested = (agent_id: string, changes: object = {}): DomainEvent =>
  ({
    type: 'seat_requested',
    agent_id,
    data: {
      role: 'write',
      command: null,
      resume_command: null,
      env_names: [],
      network: null,
      limits: null,
      heartbeat_interval: null,
      forked_from: null,
      token_hash: 'hash',
      ...changes,
    },
  }) as DomainEvent

/** Domain events as a ledger would give them back: numbered from `from` + 1. */
export const recorded = (mission_id: string, events: readonly DomainEvent[], from = 0): RecordedEvent[] =>
  events.map(
    (event, i) =>
      ({
        ...event,
        seq: from + i + 1,
        version: from + i + 1,
        at: '2026-01-01T00:00:00.000Z',
        mission_id,
      }) as RecordedEvent,
  )
