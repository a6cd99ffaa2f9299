import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { PACE } from './pace.ts'
import { ROOT } from './source-tree.ts'

export interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: what a stranger's program would see
  readonly body: any
  readonly headers: Headers
}

/** A real pit in a process of its own, over a state directory that the test owns. */
export class PitProcess implements AsyncDisposable {
  readonly stateDir: string
  readonly homesDir: string
  readonly #environment: Record<string, string>
  readonly #before: readonly string[]
  #child: ChildProcess | null = null
  #url = ''
  #token = ''

  private constructor(
    stateDir: string,
    homesDir: string,
    environment: Record<string, string>,
    before: readonly string[],
  ) {
    this.stateDir = stateDir
    this.homesDir = homesDir
    this.#environment = environment
    this.#before = before
  }

  /** Makes the directories but starts nothing. `before` is a program that becomes the pit: what it prepares, the pit inherits. On /var/tmp: overlay layers need a real file system, tests short paths. */
  static async create(environment: Record<string, string> = {}, before: readonly string[] = []): Promise<PitProcess> {
    const dir = await mkdtemp('/var/tmp/pit-')
    return new PitProcess(join(dir, 'state'), join(dir, 'homes'), environment, before)
  }

  static async start(environment: Record<string, string> = {}): Promise<PitProcess> {
    const pit = await PitProcess.create(environment)
    await pit.start()
    return pit
  }

  get pid(): number {
    return this.#child!.pid!
  }

  get url(): string {
    return this.#url
  }

  get token(): string {
    return this.#token
  }

  get environment(): NodeJS.ProcessEnv {
    return {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR,
      LAZARUS_STATE_DIR: this.stateDir,
      LAZARUS_MISSIONS_PATH: join(this.stateDir, 'missions'),
      LAZARUS_LISTEN: '127.0.0.1:0',
      // Shared: else each pit would compile the house anew, and write it all down when it ends.
      NODE_COMPILE_CACHE: join(ROOT, 'node_modules/.cache/lazarus-tests'),
      ...this.#environment,
    }
  }

  async configure(config: object): Promise<void> {
    await mkdir(this.stateDir, { recursive: true, mode: 0o700 })
    const path = join(this.stateDir, 'config.json')
    await writeFile(path, JSON.stringify(config))
    this.#environment.LAZARUS_CONFIG = path
  }

  /** Starts the daemon and waits until it listens. */
  async start(): Promise<void> {
    const [file, ...args] = [
      ...this.#before,
      process.execPath,
      '--max-semi-space-size=4',
      join(ROOT, 'src/main/cli.ts'),
      'serve',
      '--json',
    ]
    const child = spawn(file, args, {
      env: this.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    const errors: string[] = []
    child.stderr.on('data', (data) => errors.push(String(data)))
    for await (const line of createInterface({ input: child.stdout })) {
      this.#url = JSON.parse(line).url
      this.#token = (await readFile(join(this.stateDir, 'operator.token'), 'utf8')).trim()
      return
    }
    throw new Error(`the pit did not start:\n${errors.join('')}`)
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null
    const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
    child.kill(signal)
    return exited
  }

  async call(method: string, path: string, body?: unknown, token: string = this.#token): Promise<Answer> {
    const response = await fetch(`${this.#url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const json = response.headers.get('content-type')?.includes('json') ?? false
    return { status: response.status, body: json ? JSON.parse(text) : text, headers: response.headers }
  }

  /** Waits on a state: follows the event stream and asks again after each event, so that nothing is slept for. */
  async until(path: string, holds: (body: Answer['body']) => boolean, seconds = 20): Promise<Answer['body']> {
    const abort = AbortSignal.timeout(seconds * 1000 * PACE)
    const stream = await fetch(`${this.#url}/v1/events?follow=true`, {
      headers: { authorization: `Bearer ${this.#token}`, accept: 'text/event-stream' },
      signal: abort,
    })
    const reader = stream.body!.getReader()
    try {
      for (;;) {
        const { body } = await this.call('GET', path)
        if (holds(body)) return body
        await reader.read()
      }
    } finally {
      await reader.cancel().catch(() => {})
    }
  }

  async #destroyMissions(): Promise<void> {
    if (this.#child === null || this.#child.exitCode !== null || this.#child.signalCode !== null) await this.start()
    const { body } = await this.call('GET', '/v1/missions?all=true')
    for (const mission of body.missions) await this.call('DELETE', `/v1/missions/${mission.mission_id}?force=true`)
  }

  /** Destroys what is left of missions, ends the daemon, removes the directories. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#destroyMissions()
    } finally {
      await this.stop()
      await rm(join(this.stateDir, '..'), { recursive: true, force: true })
    }
  }
}
