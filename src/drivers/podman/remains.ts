/**
 * Containers that are dead and on their way out: Podman tidies each that ended by itself, for a tenth of a second and
 * under its lock, before it lets anybody remove it. Whoever needs the seat again does not wait for that; whoever looks
 * at what there is does.
 */
export class Remains {
  readonly #removals = new Map<string, Promise<void>>()

  add(id: string, removal: Promise<unknown>, failed: (error: unknown) => void): void {
    const done = removal.then(
      () => {},
      (error: unknown) => failed(error),
    )
    this.#removals.set(id, done)
    void done.then(() => this.#removals.delete(id))
  }

  has(id: string): boolean {
    return this.#removals.has(id)
  }

  /** When every container that was on its way out by now is gone, or has failed to go. */
  async gone(): Promise<void> {
    await Promise.all(this.#removals.values())
  }
}
