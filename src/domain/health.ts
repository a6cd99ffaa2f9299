import type { AgentHealth, HealthReport, HealthStatus } from '../contract/health.ts'
import type { MissionStatus } from '../contract/mission.ts'
import type { ExitFact, SeatStatus } from '../contract/seat.ts'
import type { MissionState } from './mission.ts'
import type { SeatState } from './seat.ts'

/** Consecutive failures from which an agent is unhealthy; before that a failure makes it degraded. */
const UNHEALTHY_FROM = 3

/** What is remembered of an agent in one place: a seat, or outside every mission. Times in epoch milliseconds. */
export interface Vitals {
  readonly agent_id: string
  /** null: outside every mission. */
  readonly mission_id: string | null
  /** Which generation sent the last heartbeat; 0: none did. */
  readonly generation: number
  readonly last_heartbeat: number | null
  readonly last_response: number | null
  readonly response_ms: number | null
  readonly failures: number
  readonly error: string | null
  readonly metadata: Readonly<Record<string, unknown>>
}

export const newcomer = (agent_id: string, mission_id: string | null): Vitals => ({
  agent_id,
  mission_id,
  generation: 0,
  last_heartbeat: null,
  last_response: null,
  response_ms: null,
  failures: 0,
  error: null,
  metadata: {},
})

/** An empty heartbeat leaves what the agent said before: a session id is told once. */
export function heartbeat(vitals: Vitals, now_ms: number, generation: number, metadata: Vitals['metadata']): Vitals {
  const said = Object.keys(metadata).length > 0 ? metadata : vitals.metadata
  return { ...vitals, generation, last_heartbeat: now_ms, failures: 0, error: null, metadata: said }
}

export const answered = (vitals: Vitals, now_ms: number, response_ms: number): Vitals => ({
  ...vitals,
  last_response: now_ms,
  response_ms,
  failures: 0,
  error: null,
})

export const sound = (vitals: Vitals): Vitals => ({ ...vitals, failures: 0, error: null })
export const failure = (vitals: Vitals, error: string): Vitals => ({ ...vitals, failures: vitals.failures + 1, error })

export function statusOf(failures: number): HealthStatus {
  if (failures === 0) return 'healthy'
  return failures < UNHEALTHY_FROM ? 'degraded' : 'unhealthy'
}

/** How a seat stands, as far as it matters to health. */
export type Standing =
  /** Its process runs: silence counts. */
  | 'running'
  /** Started, frozen, or ended as it should: silence means nothing. */
  | 'excused'
  /** Died, and is not back: each period without it is one more failure. */
  | 'dead'
  /** No agent is in this place any more. */
  | 'gone'

const MISSIONS_WITH_AGENTS: ReadonlySet<MissionStatus> = new Set(['active', 'paused'])
const STANDINGS: Readonly<Record<SeatStatus, Standing>> = {
  requested: 'excused',
  spawning: 'excused',
  active: 'running',
  paused: 'excused',
  dead: 'dead',
  awaiting_approval: 'dead',
  reviving: 'excused',
  quarantined: 'dead',
  released: 'gone',
  failed: 'gone',
  withdrawing: 'gone',
  withdrawn: 'gone',
}

export function standingOf(mission: Pick<MissionState, 'status'>, seat: Pick<SeatState, 'status' | 'exit'>): Standing {
  if (!MISSIONS_WITH_AGENTS.has(mission.status)) return 'gone'
  return seat.status === 'dead' && endedWell(seat.exit) ? 'excused' : STANDINGS[seat.status]
}

const endedWell = (exit: ExitFact | null): boolean => exit?.cause === 'exit' && exit.code === 0

/** Why a seat is dead, in a few words. */
export function causeOfDeath({ exit, error }: Pick<SeatState, 'exit' | 'error'>): string {
  if (error) return `Its revival failed: ${error.message}`
  if (!exit) return 'It died'
  const how = exit.signal ?? (exit.code === null ? '' : `code ${exit.code}`)
  return `It died: ${exit.cause}${how === '' ? '' : ` (${how})`}`
}

const ERROR_LIMIT = 300
const seconds = (ms: number | null): number | null => (ms === null ? null : ms / 1000)
const newest = (a: number | null, b: number | null): number | null => (a === null ? b : b === null ? a : Math.max(a, b))

/** One agent as its places show it, at least one: it is as well as in the worst of them. */
export function agentHealth(places: readonly Vitals[]): AgentHealth {
  const worst = places.reduce((a, b) => (b.failures > a.failures ? b : a))
  const heard = places.reduce((a, b) => ((b.last_heartbeat ?? 0) > (a.last_heartbeat ?? 0) ? b : a))
  const asked = places.find(({ response_ms }) => response_ms !== null)
  return {
    agent_id: worst.agent_id,
    status: statusOf(worst.failures),
    last_heartbeat: seconds(heard.last_heartbeat),
    last_response: seconds(places.map(({ last_response }) => last_response).reduce(newest, null)),
    consecutive_failures: worst.failures,
    response_time: seconds(asked?.response_ms ?? null),
    error_message: worst.error?.slice(0, ERROR_LIMIT) ?? null,
    metadata: { ...heard.metadata },
  }
}

export function healthReport(now_ms: number, agents: readonly AgentHealth[]): HealthReport {
  const count = (status: HealthStatus) => agents.filter((agent) => agent.status === status).length
  return {
    timestamp: now_ms / 1000,
    total_agents: agents.length,
    healthy: count('healthy'),
    degraded: count('degraded'),
    unhealthy: count('unhealthy'),
    agents: Object.fromEntries(agents.map((agent) => [agent.agent_id, agent])),
  }
}

const LONGEST_BACKOFF = 16

/** How long until a gateway is asked again: it is soon known to be unhealthy, and then left in peace more and more. */
export const pollAfter = (interval_ms: number, failures: number): number =>
  interval_ms * Math.min(2 ** Math.max(0, failures - UNHEALTHY_FROM + 1), LONGEST_BACKOFF)
