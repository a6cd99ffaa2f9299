import type { Config } from '../contract/config.ts'
import type { AgentHealth, HealthReport, HeartbeatReply, SignsOfLife } from '../contract/health.ts'
import type { SeatName } from '../contract/ids.ts'
import {
  agentHealth,
  answered,
  causeOfDeath,
  failure,
  healthReport,
  newcomer,
  sound,
  statusOf,
  type Vitals,
} from '../domain/health.ts'
import type { MissionState, SeatState } from '../domain/mission.ts'
import type { Clock } from '../kernel/clock.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { HeartbeatStore } from '../ports/heartbeat-store.ts'
import { type Alert, raiseAlert } from './alerts.ts'
import type { Principal } from './application.ts'
import { placeOf, type Usual, Watch } from './health-watch.ts'

interface Deps {
  readonly heartbeats: HeartbeatStore
  readonly config: Config
  readonly clock: Clock
  readonly log: Log
  readonly alerts?: (alert: Alert) => void
}

/** Agents outside every mission that open registration admits; together with the gateways. */
const MOST_OUTSIDE = 10_000

/**
 * How every agent is: what it said of itself, what its gateway answered, how its process fares. An agent may be in
 * several places, one watch each. Who speaks for which place is decided here, and nothing else that a caller says.
 */
export class HealthBoard {
  readonly #deps: Deps
  readonly #usual: Usual
  readonly #agents = new Map<string, Map<string | null, Watch>>()
  #outside = 0
  #adopted = false
  #heartbeats = 0

  constructor(deps: Deps) {
    this.#deps = deps
    this.#usual = { interval: deps.config.poll_interval * 1000, timeout: deps.config.timeout * 1000 }
  }

  /** Heartbeats taken since the start of the pit. */
  get heartbeats(): number {
    return this.#heartbeats
  }

  /** After the book is loaded: who is there, and what was last known of them. What nobody needs any more is dropped. */
  adopt(missions: readonly MissionState[]): void {
    this.#adopted = true
    for (const agent_id of Object.keys(this.#deps.config.gateways)) this.#add(newcomer(agent_id, null), null)
    for (const mission of missions) this.follow(null, mission)
    for (const vitals of this.#deps.heartbeats.all()) this.#remember(vitals)
  }

  /** Follows the book: seats that are taken are watched, those that are left are forgotten. */
  follow(before: MissionState | null, after: MissionState): void {
    if (!this.#adopted) return
    for (const seat of after.seats.values()) {
      const old = before?.seats.get(seat.agent_id)
      if (old !== seat || before?.status !== after.status) this.#seatChanged(after, seat)
    }
  }

  /** Acknowledged when it is durable; heard at once, so that a full disk makes nobody look dead. */
  async beat(by: Principal, agent_id: string, metadata: Vitals['metadata']): Promise<HeartbeatReply> {
    const watches = this.#spokenFor(by, agent_id)
    const now_ms = this.#deps.clock.now()
    const now = this.#deps.clock.monotonic()
    const interval = Math.min(...watches.map((watch) => watch.interval))
    this.#heartbeats += 1
    for (const watch of watches) watch.beat(now_ms, now, metadata)
    await Promise.all(watches.map(({ vitals }) => this.#deps.heartbeats.put(vitals)))
    return { status: 'ok', agent_id, timestamp: now_ms / 1000, next_heartbeat: (now_ms + interval) / 1000 }
  }

  report(): HealthReport {
    const agents = [...this.#agents.values()].map((places) => agentHealth([...places.values()].map(vitalsOf)))
    return healthReport(this.#deps.clock.now(), agents)
  }

  /** As this caller may see it: a seat sees its own place alone. */
  agent(
    by: Principal,
    agent_id: string,
    outputOf: (seat: SeatName) => number | null,
  ): AgentHealth & { signs: SignsOfLife[] } {
    const watches = this.#placesFor(by, agent_id)
    const now = this.#deps.clock.monotonic()
    return {
      ...agentHealth(watches.map(vitalsOf)),
      signs: watches.map((watch) => {
        const { mission_id } = watch.vitals
        return watch.signs(now, mission_id === null ? null : outputOf({ mission_id, agent_id }))
      }),
    }
  }

  /** Where the agent is that this caller may ask about; throws agent_not_found. */
  seatsOf(by: Principal, agent_id: string): readonly SeatName[] {
    return this.#placesFor(by, agent_id).flatMap(({ vitals: { mission_id } }) =>
      mission_id ? [{ mission_id, agent_id }] : [],
    )
  }

  /** What the agent in this seat said last: its session id, for example. */
  session(mission_id: string, agent_id: string): Vitals['metadata'] {
    return this.#agents.get(agent_id)?.get(mission_id)?.vitals.metadata ?? {}
  }

  gatewayAnswered(agent_id: string, took_ms: number): Vitals {
    const watch = this.#gateway(agent_id)
    watch.vitals = answered(watch.vitals, this.#deps.clock.now(), took_ms)
    watch.heard(this.#deps.clock.monotonic())
    return this.#keep(watch)
  }

  gatewayFailed(agent_id: string, error: string): Vitals {
    return this.#fail(this.#gateway(agent_id), error)
  }

  /** It was silent for a whole period. */
  silent(watch: Watch): void {
    this.#fail(watch, watch.countSilence(this.#deps.clock.monotonic()))
  }

  /** It was heard, though it sent no heartbeat. */
  heard(watch: Watch): void {
    watch.heard(this.#deps.clock.monotonic())
    this.#keep(watch)
  }

  /** It could not speak: its processes were stopped. */
  excuse(name: SeatName): void {
    this.find(name)?.startAnew(this.#deps.clock.monotonic())
  }

  *watches(): Iterable<Watch> {
    for (const places of this.#agents.values()) yield* places.values()
  }

  find({ mission_id, agent_id }: SeatName): Watch | null {
    return this.#agents.get(agent_id)?.get(mission_id) ?? null
  }

  forget({ vitals: { agent_id, mission_id } }: Watch): void {
    const places = this.#agents.get(agent_id)
    if (!places?.delete(mission_id)) return
    if (mission_id === null) this.#outside -= 1
    if (places.size === 0) this.#agents.delete(agent_id)
    this.#unwaited(this.#deps.heartbeats.remove(agent_id, mission_id))
  }

  #seatChanged(mission: MissionState, seat: SeatState): void {
    const place = placeOf(mission, seat)
    const { mission_id } = mission
    const watch = this.find({ mission_id, agent_id: seat.agent_id })
    if (place.standing === 'gone') return void (watch && this.forget(watch))
    if (!watch) {
      const added = this.#add(newcomer(seat.agent_id, mission_id), place)
      if (place.standing === 'dead') added.vitals = failure(added.vitals, causeOfDeath(seat))
      return
    }
    const before = watch.place?.standing
    watch.move(place, this.#deps.clock.monotonic())
    if (place.standing === before) return
    if (place.standing === 'dead') return void this.#fail(watch, causeOfDeath(seat))
    if (place.status !== 'dead') return
    watch.vitals = sound(watch.vitals)
    this.#keep(watch)
  }

  #remember(vitals: Vitals): void {
    const watch = this.#agents.get(vitals.agent_id)?.get(vitals.mission_id)
    if (watch) {
      const dead = watch.place?.standing === 'dead'
      watch.vitals = dead
        ? { ...vitals, failures: Math.max(1, vitals.failures), error: vitals.error ?? watch.vitals.error }
        : vitals
    } else if (vitals.mission_id === null && this.#deps.config.open_registration) this.#add(vitals, null)
    else this.#unwaited(this.#deps.heartbeats.remove(vitals.agent_id, vitals.mission_id))
  }

  #add(vitals: Vitals, place: Watch['place']): Watch {
    const watch = new Watch(vitals, place, this.#usual, this.#deps.clock.monotonic())
    const places = this.#agents.get(vitals.agent_id) ?? new Map<string | null, Watch>()
    this.#agents.set(vitals.agent_id, places.set(vitals.mission_id, watch))
    if (vitals.mission_id === null) this.#outside += 1
    return watch
  }

  /** The places for which a heartbeat of this caller counts: a seat's own, for the operator all where the agent lives. */
  #spokenFor(by: Principal, agent_id: string): readonly Watch[] {
    const places = this.#present(by, agent_id)
    if (places.length === 0 && by.kind === 'operator' && this.#deps.config.open_registration)
      return [this.#register(agent_id)]
    if (places.length === 0) throw unknownAgent(agent_id)
    const living = places.filter(({ place }) => place?.standing !== 'dead' && place?.status !== 'dead')
    if (living.length > 0) return living
    throw new LazarusError('conflict', `Agent "${agent_id}" is dead: a heartbeat does not bring it back`, {
      remedy: 'Revive it: lazarus revive <mission> <agent>',
    })
  }

  #placesFor(by: Principal, agent_id: string): readonly Watch[] {
    const places = this.#present(by, agent_id)
    if (places.length > 0) return places
    throw unknownAgent(agent_id)
  }

  #present(by: Principal, agent_id: string): readonly Watch[] {
    const places = this.#agents.get(agent_id)
    if (by.kind === 'operator') return [...(places?.values() ?? [])]
    const { name } = by
    if (name.agent_id !== agent_id) throw new LazarusError('forbidden', `Seat ${name.agent_id} speaks for itself alone`)
    const own = places?.get(name.mission_id)
    if (own && own.place?.generation !== name.generation)
      throw new LazarusError('unauthorized', `Generation ${name.generation} of seat ${agent_id} is over`)
    return own ? [own] : []
  }

  #register(agent_id: string): Watch {
    if (this.#outside < MOST_OUTSIDE) return this.#add(newcomer(agent_id, null), null)
    throw new LazarusError('limit_exceeded', `${MOST_OUTSIDE} agents outside of missions are registered already`, {
      remedy: 'Those that are silent for a week are forgotten; or close open_registration and seat agents in missions.',
    })
  }

  #gateway(agent_id: string): Watch {
    return this.#agents.get(agent_id)?.get(null) ?? this.#add(newcomer(agent_id, null), null)
  }

  #fail(watch: Watch, why: string): Vitals {
    const before = statusOf(watch.vitals.failures)
    watch.vitals = failure(watch.vitals, why)
    const { agent_id, mission_id, failures } = watch.vitals
    if (before !== 'unhealthy' && statusOf(failures) === 'unhealthy')
      raiseAlert(this.#deps, { kind: 'agent_unhealthy', agent_id, mission_id, why })
    return this.#keep(watch)
  }

  #keep({ vitals }: Watch): Vitals {
    this.#unwaited(this.#deps.heartbeats.put(vitals))
    return vitals
  }

  #unwaited(done: Promise<void>): void {
    done.catch((error: unknown) => this.#deps.log.warn({ err: error }, 'the health of an agent could not be kept'))
  }
}

const vitalsOf = ({ vitals }: Watch): Vitals => vitals

const unknownAgent = (agent_id: string): LazarusError =>
  new LazarusError('agent_not_found', `No mission, gateway or registration knows agent "${agent_id}"`)
