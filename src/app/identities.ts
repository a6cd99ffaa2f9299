import type { SeatName } from '../contract/ids.ts'
import type { MissionState } from '../domain/mission.ts'
import type { SeatState } from '../domain/seat.ts'
import type { Principal } from './application.ts'
import { seatKey } from './context.ts'
import { hashToken } from './spawn-seat.ts'

/**
 * Who holds which token. Only hashes are kept, and the hash is the key: looking one up tells nothing about
 * another, so no comparison of secrets is timed.
 */
export class Identities {
  readonly #operatorHash: string
  readonly #seats = new Map<string, Principal>()
  readonly #mourners = new Map<string, Set<() => void>>()

  constructor(operatorTokenHash: string) {
    this.#operatorHash = operatorTokenHash
  }

  /** Follows the book: a token dies with its seat or its generation. */
  follow(before: MissionState | null, after: MissionState, changed: readonly SeatState[]): void {
    const held = changed.map(({ agent_id }) => ({
      agent_id,
      token_hash: before?.seats.get(agent_id)?.token_hash ?? null,
    }))
    for (const { token_hash } of held) if (token_hash !== null) this.#seats.delete(token_hash)
    for (const seat of changed) {
      if (seat.status === 'withdrawn' || seat.status === 'failed' || seat.status === 'withdrawing') continue
      const name = { mission_id: after.mission_id, agent_id: seat.agent_id, generation: seat.generation }
      this.#seats.set(seat.token_hash, { kind: 'seat', name, role: seat.role, via: 'token' })
    }
    for (const { token_hash, agent_id } of held) {
      if (token_hash !== null && !this.#seats.has(token_hash)) this.#tell(seatKey(after.mission_id, agent_id))
    }
  }

  /** Calls once, when the token that the seat has now is no longer valid. Disposing takes it back. */
  onDeath({ mission_id, agent_id }: SeatName, listener: () => void): Disposable {
    const key = seatKey(mission_id, agent_id)
    const mourners = this.#mourners.get(key) ?? new Set()
    this.#mourners.set(key, mourners.add(listener))
    return {
      [Symbol.dispose]: () => {
        mourners.delete(listener)
        if (mourners.size === 0 && this.#mourners.get(key) === mourners) this.#mourners.delete(key)
      },
    }
  }

  #tell(key: string): void {
    const mourners = this.#mourners.get(key)
    this.#mourners.delete(key)
    for (const listener of mourners ?? []) listener()
  }

  identify(token: string): Principal | null {
    const hash = hashToken(token)
    if (hash === this.#operatorHash) return { kind: 'operator', via: 'token' }
    return this.#seats.get(hash) ?? null
  }
}
