import { readFileSync } from 'node:fs'
import { processFact, sendSignal } from '../../linux/process.ts'
import { commandLine, execMonitorsOf } from './cell-processes.ts'

/** After so long without an exec: tidying starts a Podman for each, which must not slow the next one down. */
const QUIET_MS = 1500
const TIDY_TIMEOUT_MS = 3000

/**
 * Podman's API lets the monitor of every exec sleep for 300 s, in two processes, before it drops the record of the
 * exec; and every record makes each later call slower. A signal that the monitor handles ends the sleep early. Left
 * alone (the pit is killed, the signal is not safe) they tidy up by themselves.
 */
export class ExecTidier {
  readonly #containers = new Set<string>()
  #running = 0
  #timer: NodeJS.Timeout | null = null

  async around<T>(container: string, exec: () => Promise<T>): Promise<T> {
    this.#running += 1
    try {
      return await exec()
    } finally {
      this.#running -= 1
      this.#containers.add(container)
      this.#schedule()
    }
  }

  forget(container: string): void {
    this.#containers.delete(container)
  }

  close(): void {
    this.#containers.clear()
    if (this.#timer) clearTimeout(this.#timer)
  }

  #schedule(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#tidy(), QUIET_MS).unref()
  }

  async #tidy(): Promise<void> {
    for (const container of this.#containers) {
      for (const sleeper of sleepersOf(container)) {
        if (this.#running > 0) return
        await wake(sleeper)
      }
      this.#containers.delete(container)
    }
  }
}

/** The half of each pair that sleeps: the child of the other half. */
function sleepersOf(container: string): number[] {
  const monitors = execMonitorsOf(container)
  return monitors.filter((pid) => monitors.includes(processFact(pid)?.parent ?? 0))
}

/** conmon hands the signal on to the command first. It has ended; should its pid be another's by now, leave it be. */
async function wake(sleeper: number): Promise<void> {
  const args = commandLine(sleeper).split('\0')
  const command = readPid(args[args.indexOf('-p') + 1])
  if (command === null || processFact(command) !== null) return
  sendSignal(sleeper, 'SIGTERM')
  const deadline = performance.now() + TIDY_TIMEOUT_MS
  while (processFact(sleeper) !== null && performance.now() < deadline) await new Promise((go) => setTimeout(go, 20))
}

function readPid(path: string | undefined): number | null {
  try {
    return Number(readFileSync(path ?? '', 'utf8')) || null
  } catch {
    return null
  }
}
