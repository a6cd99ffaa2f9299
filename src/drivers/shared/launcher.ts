import { fileURLToPath } from 'node:url'
import { Coprocess } from '../../linux/coprocess.ts'
import { type HullSpec, rlimitWords } from '../../linux/hull.ts'

const PROGRAM = fileURLToPath(new URL('shim.pl', import.meta.url))

/** One sandbox to start. Descriptors are this process's own; the shim opens them anew. */
export interface LaunchRequest extends Pick<HullSpec, 'network' | 'rlimits' | 'command' | 'environment'> {
  readonly skeleton: string
  readonly table: string
  readonly cgroup: string | null
  readonly exit_record: string
  readonly log_path: string
  readonly log: { readonly max_bytes: number; readonly files: number }
  readonly report_fd: number
  readonly word_fd: number
  readonly seccomp: string | null
}

export interface Launched {
  readonly shim_pid: number
  readonly hull_pid: number
}

/** Has sandboxes started by a small process. The shims that it started outlive it. */
export class Launcher {
  #onEnd: (shim_pid: number) => void = () => {}
  readonly #coprocess = new Coprocess(PROGRAM, (pid) => this.#onEnd(pid))

  /** Tells the end of each shim of which this process had the start. */
  watch(onEnd: (shim_pid: number) => void): void {
    this.#onEnd = onEnd
  }

  makeFifos(paths: readonly string[]): Promise<void> {
    return this.#coprocess.makeFifos(paths)
  }

  async launch(request: LaunchRequest): Promise<Launched> {
    const answer = await this.#coprocess.request(fieldsOf(request))
    const [shim_pid, hull_pid] = answer.split(' ').map(Number)
    return { shim_pid: shim_pid!, hull_pid: hull_pid! }
  }
}

/** In the order that shim.pl knows. */
function fieldsOf(request: LaunchRequest): readonly string[] {
  const variables = Object.entries(request.environment).map(([name, value]) => `${name}=${value}`)
  return [
    'sandbox',
    request.skeleton,
    request.table,
    request.network,
    rlimitWords(request.rlimits),
    request.cgroup ?? '',
    request.exit_record,
    request.log_path,
    String(request.log.max_bytes),
    String(request.log.files),
    `/proc/${process.pid}/fd/${request.report_fd}`,
    `/proc/${process.pid}/fd/${request.word_fd}`,
    request.seccomp ?? '',
    String(variables.length),
    ...variables,
    ...request.command,
  ]
}
