import type { AgentFile, AgentPermissions, CellFile, CellFileName } from '../contract/cell.ts'
import type { MissionStatus } from '../contract/mission.ts'
import type { MissionState } from './mission.ts'
import type { SeatState } from './seat.ts'

type CellViews = { readonly [Name in Exclude<CellFileName, 'state/heartbeat.json'>]: CellFile<Name> }

/** The four states that `cell.json` knows. An archived or ending mission takes no more work, as a completed one. */
const CELL_STATUS: Readonly<Record<MissionStatus, CellFile<'cell.json'>['status']>> = {
  active: 'active',
  paused: 'paused',
  completed: 'completed',
  failed: 'failed',
  archiving: 'completed',
  archived: 'completed',
  destroying: 'completed',
  destroyed: 'completed',
}

/** The JSON files of a cell directory but the heartbeat and those of single agents. */
export function cellViews(state: MissionState): CellViews {
  return {
    'cell.json': cellJson(state),
    'meta/mission.json': { mission_id: state.mission_id, created_at: state.created_at, status: state.status },
    'config/cell.json': {
      worktree: `${state.directory}/worktree`,
      artifacts: `${state.directory}/artifacts`,
      heartbeat: `${state.directory}/state/heartbeat.json`,
    },
    'config/isolation.json': isolation(state),
    'config/policies.json': policies(state),
    'config/permissions.json': Object.fromEntries(present(state).map((seat) => [seat.agent_id, permissions(seat)])),
  }
}

function cellJson(state: MissionState): CellFile<'cell.json'> {
  const { auto_revive, handoff_allowed, checkpoint_interval } = state.policies
  return {
    cell_id: state.mission_id,
    mission_name: state.mission_name,
    created_at: state.created_at,
    created_by: state.created_by,
    status: CELL_STATUS[state.status],
    isolation_level: state.isolation_level,
    max_agents: state.max_agents,
    timeout: state.timeout,
    policies: { auto_revive, handoff_allowed, checkpoint_interval },
  }
}

function isolation({ isolation_level, policy }: MissionState): CellFile<'config/isolation.json'> {
  const { cpu, memory, disk } = policy.limits
  return {
    level: isolation_level,
    mount_namespaces: policy.namespaces.includes('mount'),
    network_isolation: policy.network !== 'host',
    resource_limits: {
      ...(cpu !== undefined && { cpu }),
      ...(memory !== undefined && { memory }),
      ...(disk !== undefined && { disk }),
    },
    security_context: {
      no_new_privs: policy.no_new_privs,
      capabilities_dropped: policy.drop_capabilities,
      seccomp: policy.seccomp !== null,
      user_namespace: policy.namespaces.includes('user'),
    },
  }
}

function policies({ policies }: MissionState): CellFile<'config/policies.json'> {
  const { checkpoint_interval: _, on_success: __, ...file } = policies
  return file
}

function permissions({ role }: SeatState): AgentPermissions {
  const read = role !== 'audit'
  return { read, write: role === 'lead' || role === 'write', execute: [], handoff_to: [], handoff_from: [] }
}

/** An agent that withdrew is no longer in the cell, nor are its files. */
const present = (state: MissionState): SeatState[] =>
  [...state.seats.values()].filter((seat) => seat.status !== 'withdrawn')

/** `agents/<agent_id>.json`; null when the agent is not, or no longer, in the cell. */
export function agentView(state: MissionState, agent_id: string): AgentFile | null {
  const seat = state.seats.get(agent_id)
  if (!seat || seat.status === 'withdrawn') return null
  return {
    agent_id: seat.agent_id,
    name: seat.agent_id,
    role: seat.role,
    capabilities: [],
    gateway: null,
    status: agentStatus(seat),
    current_task: null,
    checkpoint: lastCheckpoint(seat),
  }
}

function lastCheckpoint({ checkpoints }: SeatState): AgentFile['checkpoint'] {
  const newest = checkpoints.at(-1)
  return { last_checkpoint: newest?.checkpoint_id ?? null, context_hash: newest?.context_hash ?? null, artifacts: [] }
}

/** One that waits for its revival is still at its task; only one that nobody brings back has failed. */
function agentStatus({ status, exit, revival }: SeatState): AgentFile['status'] {
  if (status === 'active' || status === 'paused') return status
  if (status === 'reviving' || revival !== null) return status === 'awaiting_approval' ? 'paused' : 'active'
  if (status === 'quarantined') return 'failed'
  // An agent that came to its end by itself is done, not broken.
  const broken = status === 'failed' || (status === 'dead' && exit?.code !== 0)
  return broken ? 'failed' : 'idle'
}

export const heartbeatView = (state: MissionState, timestamp: string): CellFile<'state/heartbeat.json'> => ({
  timestamp,
  status: state.status,
  seats: Object.fromEntries(present(state).map((seat) => [seat.agent_id, seat.status])),
})
