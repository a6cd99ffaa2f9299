import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { access, mkdir, mkdtemp, readFile, rm, watch } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import type { HostReport } from '../../src/contract/host.ts'
import { ROOT } from './source-tree.ts'

const execute = promisify(execFile)
const RUN = join(ROOT, 'images/pit/run')

export async function podman(...args: string[]): Promise<string> {
  return (await execute('podman', args, { cwd: '/', maxBuffer: 16 * 1024 * 1024 })).stdout.trim()
}

/** The CLI of this checkout, outside of the container. */
export async function cli(...words: string[]): Promise<string> {
  return (await execute(process.execPath, [join(ROOT, 'src/main/cli.ts'), ...words])).stdout
}

/** Builds the image of the pit, or finds it. Resolves to its tag. */
export async function buildPitImage(): Promise<string> {
  const { stdout } = await execute(join(ROOT, 'images/pit/build'), [], { maxBuffer: 16 * 1024 * 1024 })
  return stdout.trim()
}

/** The API of the operator's Podman, on a socket of the test's own. */
class PodmanApi implements AsyncDisposable {
  readonly socket: string
  #service: ChildProcess | null = null

  constructor(directory: string) {
    this.socket = join(directory, 'podman.sock')
  }

  async start(): Promise<void> {
    await mkdir(dirname(this.socket), { recursive: true, mode: 0o700 })
    const made = watch(dirname(this.socket), { signal: AbortSignal.timeout(30_000) })
    const args = ['--log-level', 'error', 'system', 'service', '--time', '0', `unix://${this.socket}`]
    this.#service = spawn('podman', args, { cwd: '/', stdio: 'ignore' })
    for await (const _ of made) {
      if (await exists(this.socket)) return
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await ended(this.#service, () => this.#service?.kill('SIGTERM'))
  }
}

/** A pit in a container of its image, started as docs/containerfile.md says, over directories that the test owns. */
export class PitContainer implements AsyncDisposable {
  readonly directory: string
  readonly stateDir: string
  readonly name = `lazarus-pit-test-${randomUUID().slice(0, 8)}`
  readonly api: PodmanApi
  readonly #image: string
  readonly #options: readonly string[]
  #child: ChildProcess | null = null
  #log = ''
  #url = ''
  #token = ''

  private constructor(directory: string, image: string, options: readonly string[]) {
    this.directory = directory
    this.stateDir = join(directory, 'state')
    this.api = new PodmanApi(join(directory, 'api'))
    this.#image = image
    this.#options = options
  }

  /** `options` are Podman's, for example for a volume with a repository. */
  static async start(image: string, options: readonly string[]): Promise<PitContainer> {
    const pit = new PitContainer(await mkdtemp('/var/tmp/pit-'), image, options)
    await pit.api.start()
    await pit.start()
    return pit
  }

  /** What marks the containers of this pit, see container-spec.ts. */
  get label(): string {
    return `lazarus.state=${createHash('sha256').update(this.stateDir).digest('hex').slice(0, 12)}`
  }

  /** What the pit wrote to its log since the first start. */
  get log(): string {
    return this.#log
  }

  get environment(): NodeJS.ProcessEnv {
    return {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR,
      DOCKER_HOST: `unix://${this.api.socket}`,
      LAZARUS_STATE_DIR: this.stateDir,
      LAZARUS_LISTEN: '127.0.0.1:0',
      LAZARUS_PIT_IMAGE: this.#image,
    }
  }

  /** Starts the container and waits until the pit listens. */
  async start(): Promise<void> {
    const args = ['--name', this.name, ...this.#options, '--', 'serve', '--json']
    const child = spawn(RUN, args, { cwd: '/', env: this.environment, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    child.stderr.on('data', (data) => {
      this.#log += data
    })
    for await (const line of createInterface({ input: child.stdout })) {
      this.#url = JSON.parse(line).url
      this.#token = (await readFile(join(this.stateDir, 'operator.token'), 'utf8')).trim()
      return
    }
    throw new Error(`the pit did not start in its container:\n${this.#log}`)
  }

  /** What `doctor` says in a container of its own, with these options of Podman beside the script's. */
  async doctor(...options: string[]): Promise<HostReport> {
    const environment = { ...this.environment, LAZARUS_STATE_DIR: join(this.directory, 'another-state') }
    const { stdout } = await execute(RUN, [...options, '--', 'doctor', '--json'], { cwd: '/', env: environment })
    return JSON.parse(stdout)
  }

  /** Ends the container as `podman stop` or as a crash would. */
  async stop(how: 'stop' | 'crash' = 'stop'): Promise<void> {
    const command = how === 'stop' ? ['stop', '--time', '20'] : ['kill', '--signal', 'KILL']
    await ended(this.#child, () => podman(...command, this.name))
  }

  /** A verb of the CLI in the running container. */
  cli(...words: string[]): Promise<string> {
    return podman('exec', this.name, 'lazarus', ...words)
  }

  // biome-ignore lint/suspicious/noExplicitAny: what a stranger's program would see
  async call(method: string, path: string, body?: unknown): Promise<{ status: number; body: any }> {
    const response = await fetch(`${this.#url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return { status: response.status, body: await response.json() }
  }

  /** The first event that the query names, now or later. */
  // biome-ignore lint/suspicious/noExplicitAny: what a stranger's program would see
  async firstEvent(query: string): Promise<any> {
    const stream = await fetch(`${this.#url}/v1/events?follow=true&${query}`, {
      headers: { authorization: `Bearer ${this.#token}`, accept: 'text/event-stream' },
      signal: AbortSignal.timeout(20_000),
    })
    let text = ''
    for await (const chunk of stream.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk
      const [, event] = /^data: (.*)\n/m.exec(text) ?? []
      if (event !== undefined) return JSON.parse(event)
    }
  }

  /** Destroys what is left of missions, ends pit and API, removes the directories. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#child === null || this.#child.exitCode !== null) await this.start()
      const { body } = await this.call('GET', '/v1/missions?all=true')
      for (const { mission_id } of body.missions) await this.call('DELETE', `/v1/missions/${mission_id}?force=true`)
    } finally {
      await this.stop()
      await this.api[Symbol.asyncDispose]()
      await rm(this.directory, { recursive: true, force: true })
    }
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/** Does what ends the child, and waits for its end. */
async function ended(child: ChildProcess | null, end: () => unknown): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise((resolve) => child.once('exit', resolve))
  await end()
  await exited
}
