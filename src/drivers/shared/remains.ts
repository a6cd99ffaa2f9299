/**
 * What is left of sandboxes in which nothing can run any more: the kernel writes out what their layers hold while it
 * takes their mounts down, Podman tidies each container before it lets anybody remove it. Whoever needs the seat again
 * does not wait for that; whoever looks at what there is does.
 */
export class Remains {
  readonly #removals = new Map<string, Promise<void>>()

  /** `failed` is told why something stays; the next destroy, or the next start of a pit, tries again. */
  add(key: string, removal: Promise<unknown>, failed: (error: unknown) => void): void {
    const done = removal.then(
      () => {},
      (error: unknown) => failed(error),
    )
    this.#removals.set(key, done)
    void done.then(() => this.#removals.delete(key))
  }

  has(key: string): boolean {
    return this.#removals.has(key)
  }

  /** When everything that was on its way out by now, or what is named, has gone or has failed to go. */
  async gone(key?: string): Promise<void> {
    await (key === undefined ? Promise.all(this.#removals.values()) : this.#removals.get(key))
  }
}
