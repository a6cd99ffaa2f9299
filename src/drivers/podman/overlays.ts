import type { ContainerSummary } from './client.ts'
import { LABELS } from './container-spec.ts'

/**
 * Which container has which overlay mounted, by the overlay's work directory. Only this pit makes containers in its state
 * directory, so after one look at Podman it knows by itself: Podman answers no question about a container that it is
 * tidying up, and that is just when we ask.
 */
export class Overlays {
  readonly #all: () => Promise<readonly ContainerSummary[]>
  #works: Promise<Map<string, string | null>> | null = null

  constructor(all: () => Promise<readonly ContainerSummary[]>) {
    this.#all = all
  }

  async created(id: string, work: string | null): Promise<void> {
    const works = await this.#known()
    works.set(id, work)
  }

  removed(id: string): void {
    void this.#works?.then((works) => works.delete(id))
  }

  /** Whether the container is, or was until just now, one of this state directory. */
  async knows(id: string): Promise<boolean> {
    return (await this.#known()).has(id)
  }

  /** What somebody removed behind our back is no other: Podman has the last word. */
  async isMountedByAnother(work: string, own: string | null): Promise<boolean> {
    const works = await this.#known()
    const claimed = [...works].some(([id, its]) => its === work && id !== own)
    return claimed && (await this.#look()).some(([id, its]) => its === work && id !== own)
  }

  #known(): Promise<Map<string, string | null>> {
    this.#works ??= this.#look()
      .then((found) => new Map(found))
      .catch((error) => {
        this.#works = null
        throw error
      })
    return this.#works
  }

  async #look(): Promise<[id: string, work: string | null][]> {
    return (await this.#all()).map(({ Id, Labels }) => [Id, Labels?.[LABELS.work] ?? null])
  }
}
