import { run } from '../../linux/run.ts'
import { endExecMonitors } from './cell-processes.ts'

/** After so long without an exec: tidying starts a Podman for each, which must not slow the next one down. */
const QUIET_MS = 1500
const TIDY_TIMEOUT_MS = 10_000

/**
 * Podman's API lets the monitor of every exec sleep for 300 s, in two processes, before it drops the record of the
 * exec; and every record makes each later call slower. This does the same at the next quiet moment. When it does not
 * come to it (the pit is killed, the API is somebody else's), they tidy up by themselves.
 */
export class ExecTidier {
  readonly #ended = new Map<string, string>()
  readonly #environment: Readonly<Record<string, string>> | null
  #running = 0
  #timer: NodeJS.Timeout | null = null

  /** `environment`: of the Podman that serves the API; null when it is not ours, its storage may be another one. */
  constructor(environment: Readonly<Record<string, string>> | null) {
    this.#environment = environment
  }

  async around<T>(exec: () => Promise<T>): Promise<T> {
    this.#running += 1
    try {
      return await exec()
    } finally {
      this.#running -= 1
      this.#schedule()
    }
  }

  started(exec: string, container: string): void {
    if (this.#environment) this.#ended.set(exec, container)
  }

  forget(container: string): void {
    for (const [exec, of] of this.#ended) if (of === container) this.#ended.delete(exec)
  }

  close(): void {
    this.#ended.clear()
    if (this.#timer) clearTimeout(this.#timer)
  }

  #schedule(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#tidy().catch(() => {}), QUIET_MS).unref()
  }

  async #tidy(): Promise<void> {
    for (const [exec, container] of this.#ended) {
      if (this.#running > 0) return
      this.#ended.delete(exec)
      // With --exec, --rm drops the record of the exec, not the container.
      const args = ['container', 'cleanup', '--rm', '--exec', exec, container]
      await run('podman', args, { environment: this.#environment!, timeout_ms: TIDY_TIMEOUT_MS })
      endExecMonitors(container, exec)
    }
  }
}
