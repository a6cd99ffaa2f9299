import type { Config } from '../contract/config.ts'
import type { AgentDetail, HealthReport, HeartbeatReply } from '../contract/health.ts'
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
import type { MissionState } from '../domain/mission.ts'
import type { SeatState } from '../domain/seat.ts'
import type { Clock } from '../kernel/clock.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { HeartbeatStore } from '../ports/heartbeat-store.ts'
import { type Alert, raiseAlert } from './alerts.ts'
import type { Principal } from './application.ts'
import { Places } from './health-places.ts'
import { type Place, placeOf, type Usual, Watch } from './health-watch.ts'

interface Deps {
  readonly heartbeats: HeartbeatStore
  readonly config: Config
  readonly clock: Clock
  readonly log: Log
  readonly alerts?: (alert: Alert) => void
}

/**
 * How every agent is: what it said of itself, what its gateway answered, how its process fares. An agent may be in
 * several places, one watch each. What a caller says changes nothing but the places for which it may speak.
 */
export class HealthBoard {
  readonly #deps: Deps
  readonly #usual: Usual
  readonly #places = new Places()
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
    for (const agent_id of Object.keys(this.#deps.config.gateways)) this.#watch(newcomer(agent_id, null), null)
    for (const mission of missions) this.follow(null, mission)
    for (const vitals of this.#deps.heartbeats.all()) this.#remember(vitals)
  }

  /** Follows the book: seats that are taken are watched, those that are left are forgotten. */
  follow(before: MissionState | null, after: MissionState, changed?: readonly SeatState[]): void {
    if (!this.#adopted) return
    const isSame = before?.status === after.status
    for (const seat of (isSame ? changed : null) ?? after.seats.values()) {
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
    const agents = [...this.#places.agents()].map((watches) => agentHealth(watches.map(vitalsOf)))
    return healthReport(this.#deps.clock.now(), agents)
  }

  /** As this caller may see it; `outputOf` knows when the agent of a seat last wrote anything, in epoch milliseconds. */
  agent(by: Principal, agent_id: string, outputOf: (seat: SeatName) => number | null): AgentDetail {
    const watches = this.#known(by, agent_id)
    const now = this.#deps.clock.monotonic()
    const signs = watches.map((watch) => {
      const { mission_id } = watch.vitals
      return watch.signs(now, mission_id === null ? null : outputOf({ mission_id, agent_id }))
    })
    return { ...agentHealth(watches.map(vitalsOf)), signs }
  }

  /** The seats of the agent that this caller may ask about. */
  seatsOf(by: Principal, agent_id: string): readonly SeatName[] {
    const missions = this.#known(by, agent_id).map(({ vitals }) => vitals.mission_id)
    return missions.filter((mission_id) => mission_id !== null).map((mission_id) => ({ mission_id, agent_id }))
  }

  /** What the agent in this seat said last: its session id, for example. */
  session(mission_id: string, agent_id: string): Vitals['metadata'] {
    return this.#places.find(agent_id, mission_id)?.vitals.metadata ?? {}
  }

  gatewayAnswered(agent_id: string, took_ms: number): Vitals {
    const watch = this.#gateway(agent_id)
    watch.heard(this.#deps.clock.monotonic())
    watch.vitals = answered(watch.vitals, this.#deps.clock.now(), took_ms)
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
  excuse({ mission_id, agent_id }: SeatName): void {
    this.#places.find(agent_id, mission_id)?.startAnew(this.#deps.clock.monotonic())
  }

  watches(): readonly Watch[] {
    return [...this.#places.agents()].flat()
  }

  forget(watch: Watch): void {
    const { agent_id, mission_id } = watch.vitals
    if (this.#places.remove(watch)) this.#unwaited(this.#deps.heartbeats.remove(agent_id, mission_id))
  }

  #seatChanged(mission: MissionState, seat: SeatState): void {
    const place = placeOf(mission, seat)
    const watch = this.#places.find(seat.agent_id, mission.mission_id)
    if (place.standing === 'gone') return void (watch && this.forget(watch))
    if (watch) return void this.#seatMoved(watch, seat, place)
    const vitals = newcomer(seat.agent_id, mission.mission_id)
    this.#watch(place.standing === 'dead' ? failure(vitals, causeOfDeath(seat)) : vitals, place)
  }

  #seatMoved(watch: Watch, seat: SeatState, place: Place): void {
    const before = watch.place?.standing
    watch.move(place, this.#deps.clock.monotonic())
    if (place.standing === before) return
    if (place.standing === 'dead') return void this.#fail(watch, causeOfDeath(seat))
    if (place.status !== 'dead') return
    // It ended as it should.
    watch.vitals = sound(watch.vitals)
    this.#keep(watch)
  }

  #remember(vitals: Vitals): void {
    const watch = this.#places.find(vitals.agent_id, vitals.mission_id)
    if (watch?.place?.standing === 'dead') {
      const error = vitals.error ?? watch.vitals.error
      watch.vitals = { ...vitals, failures: Math.max(1, vitals.failures), error }
    } else if (watch) watch.vitals = vitals
    else if (vitals.mission_id === null && this.#deps.config.open_registration) this.#watch(vitals, null)
    else this.#unwaited(this.#deps.heartbeats.remove(vitals.agent_id, vitals.mission_id))
  }

  #watch(vitals: Vitals, place: Place | null): Watch {
    return this.#places.add(new Watch(vitals, place, this.#usual, this.#deps.clock.monotonic()))
  }

  #gateway(agent_id: string): Watch {
    return this.#places.find(agent_id, null) ?? this.#watch(newcomer(agent_id, null), null)
  }

  /** The places for which a heartbeat of this caller counts: where the agent lives. */
  #spokenFor(by: Principal, agent_id: string): readonly Watch[] {
    const places = this.#places.open(by, agent_id)
    const isNew = places.length === 0 && by.kind === 'operator' && this.#deps.config.open_registration
    if (isNew) return [this.#watch(newcomer(agent_id, null), null)]
    if (places.length === 0) throw unknownAgent(agent_id)
    const living = places.filter(({ place }) => place?.standing !== 'dead' && place?.status !== 'dead')
    if (living.length > 0) return living
    throw new LazarusError('conflict', `Agent "${agent_id}" is dead: a heartbeat does not bring it back`, {
      remedy: 'Revive it: lazarus revive <mission> <agent>',
    })
  }

  #known(by: Principal, agent_id: string): readonly Watch[] {
    const places = this.#places.open(by, agent_id)
    if (places.length > 0) return places
    throw unknownAgent(agent_id)
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
