import { LazarusError } from '../kernel/errors.ts'
import type { Principal } from './application.ts'
import type { Watch } from './health-watch.ts'

/** Agents outside every mission that are watched at most, gateways among them. */
const MOST_OUTSIDE = 10_000

/** Every watch, by agent and by where the agent is: a mission, or null outside of all. */
export class Places {
  readonly #agents = new Map<string, Map<string | null, Watch>>()
  #outside = 0

  add(watch: Watch): Watch {
    const { agent_id, mission_id } = watch.vitals
    if (mission_id === null) this.#countOutside()
    const places = this.#agents.get(agent_id) ?? new Map<string | null, Watch>()
    this.#agents.set(agent_id, places.set(mission_id, watch))
    return watch
  }

  #countOutside(): void {
    if (this.#outside >= MOST_OUTSIDE) {
      throw new LazarusError('limit_exceeded', `${MOST_OUTSIDE} agents outside of missions are watched already`, {
        remedy: 'Those that are silent for a week are forgotten; or seat agents in missions.',
      })
    }
    this.#outside += 1
  }

  find(agent_id: string, mission_id: string | null): Watch | null {
    return this.#agents.get(agent_id)?.get(mission_id) ?? null
  }

  /** Whether it was there. */
  remove({ vitals: { agent_id, mission_id } }: Watch): boolean {
    const places = this.#agents.get(agent_id)
    if (!places?.delete(mission_id)) return false
    if (mission_id === null) this.#outside -= 1
    if (places.size === 0) this.#agents.delete(agent_id)
    return true
  }

  /** Agent by agent, each with all its places. */
  *agents(): Iterable<readonly Watch[]> {
    for (const places of this.#agents.values()) yield [...places.values()]
  }

  /** Where this caller may speak for the agent and ask about it: a seat where it sits itself, the operator everywhere. */
  open(by: Principal, agent_id: string): readonly Watch[] {
    const places = this.#agents.get(agent_id)
    if (by.kind === 'operator') return [...(places?.values() ?? [])]
    const { name } = by
    if (name.agent_id !== agent_id) throw new LazarusError('forbidden', `Seat ${name.agent_id} speaks for itself alone`)
    const own = places?.get(name.mission_id)
    if (own && own.place?.generation !== name.generation)
      throw new LazarusError('unauthorized', `Generation ${name.generation} of seat ${agent_id} is over`)
    return own ? [own] : []
  }
}
