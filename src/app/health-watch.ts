import type { SignsOfLife } from '../contract/health.ts'
import type { SeatStatus } from '../contract/seat.ts'
import { type Intervals, phi, promised, withInterval } from '../domain/failure-detector.ts'
import { heartbeat, type Standing, sound, standingOf, type Vitals } from '../domain/health.ts'
import type { MissionState } from '../domain/mission.ts'
import type { SeatState } from '../domain/seat.ts'

/** Suspicion from which an agent counts as hung, when its silence is longer than the policy's `hung_after`. */
const HUNG_PHI = 8

/** What a watch knows of the seat that it is about. Milliseconds. */
export interface Place {
  readonly status: SeatStatus
  readonly standing: Standing
  readonly generation: number
  /** Between heartbeats, as the agent declared it; null: it did not. */
  readonly interval: number | null
  readonly hung_after: number | null
  /** Somebody is there who can be silent: a seat that is only open for exec says nothing by itself. */
  readonly has_agent: boolean
}

export const placeOf = (mission: MissionState, seat: SeatState): Place => ({
  status: seat.status,
  standing: standingOf(mission, seat),
  generation: seat.generation,
  interval: seat.heartbeat_interval === null ? null : seat.heartbeat_interval * 1000,
  hung_after: mission.policies.hung_after === null ? null : mission.policies.hung_after * 1000,
  has_agent: seat.command !== null,
})

/** Of the configuration, in milliseconds. */
export interface Usual {
  readonly interval: number
  readonly timeout: number
}

/** One agent in one place: its vitals, and since when it is silent by the monotonic clock, in milliseconds. */
export class Watch {
  vitals: Vitals
  /** null: outside every mission. */
  place: Place | null
  /** When the last output that was looked at was written; by the clock of the file system, so it is only compared. */
  output: number | null = null
  #intervals: Intervals = []
  /** Silence counts from here. */
  #heard: number
  /** The last heartbeat, when nothing has torn the interval since. */
  #beat: number | null = null
  #failsAt: number
  readonly #usual: Usual

  constructor(vitals: Vitals, place: Place | null, usual: Usual, now: number) {
    this.vitals = vitals
    this.place = place
    this.#usual = usual
    this.#heard = now
    this.#failsAt = now + this.patience
  }

  /** Expected between heartbeats. */
  get interval(): number {
    return this.place?.interval ?? this.#usual.interval
  }

  /** Silence that is a failure. A longer interval that the agent declared is waited for, and once more for the delay. */
  get patience(): number {
    return Math.max(this.#usual.timeout, 2 * (this.place?.interval ?? 0))
  }

  /** Whether a heartbeat came from the generation that is there now. */
  get spoke(): boolean {
    return this.vitals.generation > 0 && this.vitals.generation === (this.place?.generation ?? 1)
  }

  /** Whether silence can mean anything: it spoke, promised to, or is an agent from which output may come. */
  get isExpected(): boolean {
    return this.place === null || this.spoke || this.place.interval !== null || this.place.has_agent
  }

  beat(now_ms: number, now: number, metadata: Vitals['metadata']): void {
    if (this.#beat !== null) this.#intervals = withInterval(this.#intervals, now - this.#beat)
    this.vitals = heartbeat(this.vitals, now_ms, this.place?.generation ?? 1, metadata)
    this.#beat = now
    this.#hear(now)
  }

  /** Something else was heard: output, or a gateway. */
  heard(now: number): void {
    this.vitals = sound(this.vitals)
    this.#hear(now)
  }

  /** What was not heard until now proves nothing: the pit slept, or the agent was frozen. */
  startAnew(now: number): void {
    this.#beat = null
    this.#hear(now)
  }

  #hear(now: number): void {
    this.#heard = now
    this.#failsAt = now + this.patience
  }

  /** Whether it is time to count the silence as a failure: once per period. */
  isOverdue(now: number): boolean {
    if (now < this.#failsAt || !this.isExpected) return false
    return this.place === null ? this.vitals.last_heartbeat !== null : isJudged(this.place.standing)
  }

  /** Why the silence until now is a failure; the next one is a period later. */
  countSilence(now: number): string {
    this.#failsAt = now + this.patience
    if (this.place?.standing === 'dead' && this.vitals.error !== null) return this.vitals.error
    const missing = this.spoke ? 'No heartbeat' : 'No heartbeat and no output'
    const silence = `${missing} for ${Math.round((now - this.#heard) / 1000)} s`
    return this.place === null ? silence : `${silence}; its process runs`
  }

  /** Only of agents that run and spoke in this generation, and only where the policy says so. */
  isHung(now: number): boolean {
    const { place } = this
    if (place?.standing !== 'running' || place.hung_after === null || !this.spoke) return false
    return now - this.#heard > place.hung_after && this.#suspicion(now) > HUNG_PHI
  }

  describeHang(now: number): string {
    const silence = ((now - this.#heard) / 1000).toFixed(1)
    return `No heartbeat for ${silence} s (phi ${this.#suspicion(now).toFixed(1)}), after it had sent some`
  }

  /** The seat changed. A new generation is given time, and has said nothing yet. */
  move(place: Place, now: number): void {
    const before = this.place
    this.place = place
    if (before?.generation !== place.generation) {
      this.#intervals = []
      if (!this.isExpected) this.vitals = sound(this.vitals)
    }
    if (before?.generation !== place.generation || before.standing !== place.standing) this.startAnew(now)
  }

  signs(now: number, last_output: number | null): SignsOfLife {
    const { place, vitals } = this
    return {
      mission_id: vitals.mission_id,
      process: place?.status ?? null,
      generation: place?.generation ?? 0,
      last_output: last_output === null ? null : last_output / 1000,
      last_heartbeat: vitals.last_heartbeat === null ? null : vitals.last_heartbeat / 1000,
      silence: this.spoke ? (now - this.#heard) / 1000 : null,
      suspicion: this.spoke ? Math.max(0, this.#suspicion(now)) : null,
    }
  }

  /** What was promised counts with what was seen: after a single heartbeat, or a restart of the pit, it is all there is. */
  #suspicion(now: number): number {
    return phi([...promised(this.interval), ...this.#intervals], now - this.#heard)
  }
}

const isJudged = (standing: Standing): boolean => standing === 'running' || standing === 'dead'
