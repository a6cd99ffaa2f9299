import { Agent } from 'node:http'
import type { Duplex } from 'node:stream'
import Docker from 'dockerode'
import { LazarusError } from '../../kernel/errors.ts'
import { Slots } from '../../kernel/queues.ts'
import { isGone, statusOf } from './errors.ts'

/** Starting and removing contend for Podman's locks: more at once are slower in sum. */
const CHANGES_AT_ONCE = 4
/** Two creations at once may find no subordinate ids: libsubid inside Podman's service is not safe for threads. */
const CREATIONS_AT_ONCE = 1
/** A call that takes longer has no answer to wait for; builds and attached streams are not bounded by it. */
const CALL_TIMEOUT_MS = 2 * 60_000
/** The first container of an image with our mapping of owners makes a copy of the image. */
const CREATE_TIMEOUT_MS = 10 * 60_000
/** HTTP status of a start of what runs already. */
const ALREADY = 304

export interface ContainerSummary {
  readonly Id: string
  readonly Pid: number
  readonly State: string
  readonly Labels: Readonly<Record<string, string>> | null
}

export interface PodmanInfo {
  readonly host: {
    readonly cgroupManager: string
    readonly cgroupVersion: string
    readonly cgroupControllers: readonly string[] | null
    readonly security: { readonly rootless: boolean; readonly seccompEnabled: boolean }
    readonly idMappings: { readonly uidmap: readonly { readonly size: number }[] | null }
    readonly ociRuntime: { readonly name: string }
  }
  readonly store: { readonly graphDriverName: string; readonly graphRoot: string }
  readonly version: { readonly Version: string }
}

export interface ExecRequest {
  readonly command: readonly string[]
  readonly environment: readonly string[]
  readonly stdin: boolean
}

/** The calls that this driver makes, each with its own error. Docker-compatible ones but for `list`, `info` and `removeExec`. */
export class PodmanClient {
  readonly docker: Docker
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
  readonly #creations = new Slots(CREATIONS_AT_ONCE)
  readonly #changes = new Slots(CHANGES_AT_ONCE)

  constructor(socketPath: string) {
    // The types do not know `agent`; docker-modem hands it to every request.
    this.docker = new Docker({ socketPath, agent: this.#agent } as Docker.DockerOptions)
  }

  async create(body: Docker.ContainerCreateOptions): Promise<string> {
    return await this.#creations.run(
      async () => (await bounded(this.docker.createContainer(body), CREATE_TIMEOUT_MS)).id,
    )
  }

  async start(id: string): Promise<void> {
    await this.#changes
      .run(() => bounded(this.docker.getContainer(id).start()))
      .catch((error) => {
        if (statusOf(error) !== ALREADY) throw error
      })
  }

  async remove(id: string): Promise<void> {
    await this.#changes.run(() => bounded(this.docker.getContainer(id).remove({ force: true, v: true })))
  }

  inspect(idOrName: string): Promise<Docker.ContainerInspectInfo> {
    return bounded(this.docker.getContainer(idOrName).inspect())
  }

  /** Whether the file system of a container has this path. */
  has(id: string, path: string): Promise<boolean> {
    return bounded(this.docker.getContainer(id).infoArchive({ path })).then(
      () => true,
      () => false,
    )
  }

  pause(id: string): Promise<unknown> {
    return bounded(this.docker.getContainer(id).pause())
  }

  unpause(id: string): Promise<unknown> {
    return bounded(this.docker.getContainer(id).unpause())
  }

  /** The compatible list has no pids: one libpod call instead of an inspect for each. */
  list(label: string): Promise<ContainerSummary[]> {
    const filters = JSON.stringify({ label: [label] })
    return bounded(this.#libpod('containers/json?', { all: true, filters }))
  }

  exists(id: string): Promise<boolean> {
    return bounded(this.#libpod<unknown>(`containers/${id}/exists`)).then(
      () => true,
      (error) => {
        if (isGone(error)) return false
        throw error
      },
    )
  }

  info(): Promise<PodmanInfo> {
    return bounded(this.#libpod('info'))
  }

  image(reference: string): Promise<Docker.ImageInspectInfo> {
    return bounded(this.docker.getImage(reference).inspect())
  }

  /** Every image whole, but for layers in between. */
  async images(): Promise<Docker.ImageInspectInfo[]> {
    const listed = await bounded(this.docker.listImages())
    const found = await Promise.all(listed.map(({ Id }) => this.image(Id).catch(() => null)))
    return found.filter((image) => image !== null)
  }

  /** Only the name, and the image with its last one. Refused while a container has it. */
  async removeImage(reference: string): Promise<void> {
    await this.#changes.run(() => bounded(this.docker.getImage(reference).remove({ force: false })))
  }

  async createExec(id: string, request: ExecRequest): Promise<string> {
    const options = {
      Cmd: [...request.command],
      Env: [...request.environment],
      AttachStdin: request.stdin,
      AttachStdout: true,
      AttachStderr: true,
    }
    return (await bounded(this.docker.getContainer(id).exec(options))).id
  }

  /** Starts it; the stream carries both outputs in frames and takes stdin. */
  startExec(exec: string): Promise<Duplex> {
    return this.docker.getExec(exec).start({ hijack: true, stdin: true })
  }

  inspectExec(exec: string): Promise<Docker.ExecInspectInfo> {
    return bounded(this.docker.getExec(exec).inspect())
  }

  close(): void {
    this.#agent.destroy()
  }

  /** docker-modem cuts the last character of a path that holds a "?": it must be the last, and the query separate. */
  #libpod<T>(path: string, query: Readonly<Record<string, unknown>> = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      const request = {
        path: `/v4.0.0/libpod/${path}`,
        method: 'GET',
        options: query,
        statusCodes: { 200: true, 204: true },
      }
      this.docker.modem.dial(request, (error: unknown, answer: unknown) =>
        error ? reject(error) : resolve(answer as T),
      )
    })
  }
}

async function bounded<T>(call: Promise<T>, timeout = CALL_TIMEOUT_MS): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const late = new LazarusError('timed_out', `Podman did not answer within ${timeout / 1000} s`)
  const timer = setTimeout(() => reject(late), timeout)
  try {
    return await Promise.race([call, promise])
  } finally {
    clearTimeout(timer)
  }
}
