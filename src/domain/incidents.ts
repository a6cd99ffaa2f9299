import type { RecordedEvent } from '../contract/event.ts'
import type { Incident } from '../contract/revival.ts'
import { epochOf } from '../kernel/clock.ts'

/** Types of the events from which incidents are told. */
export const INCIDENT_EVENTS = [
  'seat_exited',
  'spawn_started',
  'seat_spawned',
  'seat_quarantined',
  'seat_released',
  'seat_replaced',
  'seat_withdrawn',
  'checkpoint_taken',
  'orphan_reaped',
] as const

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** Every death, with what it cost: one pass over the events, oldest first. */
export function incidentsOf(events: Iterable<RecordedEvent>): readonly Incident[] {
  const all: Mutable<Incident>[] = []
  const open = new Map<string, Mutable<Incident>>()
  const checkpointed = new Map<string, string>()
  const takenAt = new Map<string, string>()
  const starting = new Map<string, string | null>()
  for (const event of events) {
    const key = `${event.mission_id}/${event.agent_id}`
    const incident = open.get(key)
    switch (event.type) {
      case 'checkpoint_taken':
        checkpointed.set(key, event.data.checkpoint.created_at)
        takenAt.set(event.data.checkpoint.checkpoint_id, event.data.checkpoint.created_at)
        break
      case 'spawn_started':
        starting.set(key, event.data.resumed_from)
        break
      case 'seat_exited':
        open.set(key, begun(event, checkpointed.get(key) ?? null))
        all.push(open.get(key)!)
        break
      case 'seat_spawned':
        if (incident) revived(incident, event.at, starting.get(key) ?? null, takenAt)
        open.delete(key)
        break
      case 'orphan_reaped':
        all.push(reaped(event))
        break
      case 'seat_withdrawn':
        if (incident?.outcome === 'open') incident.outcome = 'withdrawn'
        // Who takes the seat after that has no part in this death.
        open.delete(key)
        checkpointed.delete(key)
        break
      default:
        if (incident) close(incident, event)
    }
  }
  return all
}

function begun(event: RecordedEvent & { type: 'seat_exited' }, checkpoint_at: string | null): Mutable<Incident> {
  const { exit, generation } = event.data
  const died_ms = epochOf(exit.died_at)
  return {
    incident_id: `inc_${event.seq}`,
    mission_id: event.mission_id,
    agent_id: event.agent_id,
    generation,
    cause: exit.cause,
    code: exit.code,
    signal: exit.signal,
    died_at: exit.died_at,
    noticed_by: exit.noticed_by,
    time_to_detect_ms: Math.max(0, epochOf(exit.noticed_at) - died_ms),
    outcome: exit.cause === 'exit' && exit.code === 0 ? 'left' : 'open',
    reason: null,
    revived_at: null,
    time_to_revive_ms: null,
    resumed_from: null,
    checkpoint_age_ms: checkpoint_at === null ? null : Math.max(0, died_ms - epochOf(checkpoint_at)),
    work_lost_ms: null,
  }
}

/** From the live layer nothing is lost; from a checkpoint, also an older one, what was done after it. */
function lostWith(resumed_from: string | null, died_at: string, takenAt: ReadonlyMap<string, string>): number | null {
  if (resumed_from === 'live') return 0
  const taken_at = resumed_from === null ? undefined : takenAt.get(resumed_from)
  return taken_at === undefined ? null : Math.max(0, epochOf(died_at) - epochOf(taken_at))
}

function revived(
  incident: Mutable<Incident>,
  at: string,
  resumed_from: string | null,
  takenAt: ReadonlyMap<string, string>,
): void {
  incident.outcome = 'revived'
  incident.reason = null
  incident.revived_at = at
  incident.time_to_revive_ms = Math.max(0, epochOf(at) - epochOf(incident.died_at))
  incident.resumed_from = resumed_from
  incident.work_lost_ms = lostWith(resumed_from, incident.died_at, takenAt)
}

/** A quarantined one stays open: a revival by hand may follow. */
function close(incident: Mutable<Incident>, event: RecordedEvent): void {
  if (event.type === 'seat_quarantined' || event.type === 'seat_released') incident.reason = event.data.reason
  if (event.type === 'seat_quarantined') incident.outcome = 'quarantined'
  if (event.type === 'seat_released') incident.outcome = 'released'
  if (event.type === 'seat_replaced') {
    incident.outcome = 'replaced'
    incident.reason = `by ${event.data.by}`
  }
}

function reaped(event: RecordedEvent & { type: 'orphan_reaped' }): Incident {
  return {
    incident_id: `inc_${event.seq}`,
    mission_id: event.mission_id,
    agent_id: event.agent_id,
    generation: event.data.generation,
    cause: 'orphan',
    code: null,
    signal: null,
    died_at: event.at,
    noticed_by: 'recovery',
    time_to_detect_ms: 0,
    outcome: 'reaped',
    reason: 'A sandbox ran that no seat owned',
    revived_at: null,
    time_to_revive_ms: null,
    resumed_from: null,
    checkpoint_age_ms: null,
    work_lost_ms: null,
  }
}
