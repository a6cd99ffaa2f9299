import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { dirname, join, resolve } from 'node:path'
import { LazarusError } from '../kernel/errors.ts'
import { type Ask, Client, type Target } from './client.ts'
import { withProgress } from './progress.ts'
import { type Colours, coloured, plain } from './render/colour.ts'
import type { CliSettings, Io } from './settings.ts'

/** The options that every verb has. */
export interface CommonOptions {
  readonly json?: true
  readonly stateDir?: string
  readonly socket?: string
  readonly url?: string
  readonly tokenFile?: string
}

export interface Answer<T> {
  /** As the pit sent it. */
  readonly text: string
  readonly value: T
}

/** One call of the CLI: where the pit is, how to talk to it, how to print. */
export class Session {
  readonly io: Io
  readonly settings: CliSettings
  readonly json: boolean
  readonly state_dir: string
  readonly colours: Colours
  readonly #options: CommonOptions
  #client: Client | undefined

  constructor(io: Io, settings: CliSettings, options: CommonOptions) {
    this.io = io
    this.settings = settings
    this.json = options.json ?? false
    this.#options = options
    const beside = options.socket === undefined ? undefined : dirname(options.socket)
    this.state_dir = resolve(io.cwd, options.stateDir ?? beside ?? settings.state_dir)
    this.colours = settings.colour && io.stdout.isTTY ? coloured : plain
  }

  get interrupted(): AbortSignal {
    return this.settings.interrupted
  }

  /** The pit is somewhere else than on the usual socket of the state directory. */
  get isElsewhere(): boolean {
    return this.#options.url !== undefined || this.#options.socket !== undefined
  }

  /** The pit may be on another host: paths of this one mean nothing to it. */
  get isRemote(): boolean {
    return this.#options.url !== undefined
  }

  /** From now on talks to the pit on this socket. */
  useSocket(path: string): void {
    this.#client = new Client({ kind: 'socket', path })
  }

  async get<T>(path: string, ask: Ask = {}): Promise<Answer<T>> {
    return this.#answer('GET', path, ask)
  }

  async post<T>(path: string, body: unknown = undefined, ask: Ask = {}): Promise<Answer<T>> {
    return this.#answer('POST', path, { ...ask, body })
  }

  async delete<T>(path: string, ask: Ask = {}): Promise<Answer<T>> {
    return this.#answer('DELETE', path, ask)
  }

  async stream(method: 'GET' | 'POST', path: string, ask: Ask = {}): Promise<IncomingMessage> {
    return (await this.#connect()).stream(method, path, { signal: this.interrupted, ...ask })
  }

  /** The same as the answer itself, with words on stderr when it takes more than a second. */
  progress<T>(text: string, work: Promise<T>): Promise<T> {
    return withProgress(this.io.stderr, text, work)
  }

  /** The answer as it came with --json, else in words. */
  print<T>(answer: Answer<T>, render: (value: T) => string): Promise<void> {
    return this.write(this.json ? `${answer.text}\n` : render(answer.value))
  }

  /** At the pace of the reader. */
  async write(chunk: string | Uint8Array): Promise<void> {
    if (chunk.length > 0 && !this.io.stdout.write(chunk)) await once(this.io.stdout, 'drain')
  }

  note(text: string): void {
    this.io.stderr.write(`${text}\n`)
  }

  async #answer<T>(method: 'GET' | 'POST' | 'DELETE', path: string, ask: Ask): Promise<Answer<T>> {
    const client = await this.#connect()
    const text = await client.text(method, path, { signal: this.interrupted, ...ask })
    return { text, value: JSON.parse(text) as T }
  }

  async #connect(): Promise<Client> {
    this.#client ??= new Client(await this.#target())
    return this.#client
  }

  async #target(): Promise<Target> {
    const { url, socket, stateDir } = this.#options
    if (url !== undefined) return { kind: 'url', url: parseUrl(url), token: await this.#token() }
    if (socket !== undefined) return { kind: 'socket', path: resolve(this.io.cwd, socket) }
    const inherited = stateDir === undefined ? this.settings.socket : null
    return { kind: 'socket', path: inherited ?? join(this.state_dir, 'api.sock') }
  }

  /** From a file or the environment, never from the command line, where every user of the host could read it. */
  async #token(): Promise<string | null> {
    const { tokenFile } = this.#options
    if (tokenFile === undefined && this.settings.token !== null) return this.settings.token
    const path = tokenFile === undefined ? join(this.state_dir, 'operator.token') : resolve(this.io.cwd, tokenFile)
    try {
      return (await readFile(path, 'utf8')).trim()
    } catch (error) {
      if (tokenFile === undefined) return null
      throw new LazarusError('invalid_request', `The token file ${path} cannot be read: ${(error as Error).message}`, {
        cause: error,
        remedy: 'Name a file that holds the token and nothing else.',
      })
    }
  }
}

function parseUrl(text: string): URL {
  const url = URL.parse(text)
  if (url?.protocol === 'http:') return url
  throw new LazarusError('invalid_request', `--url ${text}: expected http://host:port`, {
    remedy: 'For example --url http://127.0.0.1:4878',
  })
}
