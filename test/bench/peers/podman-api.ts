import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, watch } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Pool } from 'undici'
import type { Peers } from './peers.ts'

/** Podman's own API service, started for this contest, with connections that are kept. */
export class PodmanApi implements AsyncDisposable {
  readonly #service: ChildProcess
  readonly #pool: Pool
  readonly #peers: Peers

  private constructor(service: ChildProcess, socket: string, connections: number, peers: Peers) {
    this.#service = service
    this.#pool = new Pool('http://podman', { socketPath: socket, connections })
    this.#peers = peers
  }

  static async start(socket: string, connections: number, peers: Peers): Promise<PodmanApi> {
    const service = spawn('podman', ['system', 'service', '--time', '0', `unix://${socket}`], { stdio: 'ignore' })
    await appears(socket, service)
    const api = new PodmanApi(service, socket, connections, peers)
    await api.#answers()
    return api
  }

  /** The socket is bound a moment before somebody listens on it. */
  async #answers(attempts = 500): Promise<void> {
    try {
      await (await this.#pool.request({ method: 'GET', path: '/_ping' })).body.dump()
    } catch (error) {
      if (attempts === 0) throw error
      await pause(20)
      await this.#answers(attempts - 1)
    }
  }

  /** Creates and starts a container that stays. */
  async run(): Promise<void> {
    const { image: Image, label } = this.#peers
    const Labels = Object.fromEntries([label.split('=')])
    const Cmd = ['sleep', 'infinity']
    const { Id } = await this.#post('/v1.41/containers/create', {
      Image,
      Labels,
      Cmd,
      Entrypoint: [],
      HostConfig: { NetworkMode: 'none' },
    })
    await this.#post(`/v1.41/containers/${Id}/start`, {})
  }

  // biome-ignore lint/suspicious/noExplicitAny: the answer of a foreign API
  async #post(path: string, body: unknown): Promise<any> {
    const headers = { 'content-type': 'application/json' }
    const answer = await this.#pool.request({ method: 'POST', path, headers, body: JSON.stringify(body) })
    const text = await answer.body.text()
    if (answer.statusCode >= 400) throw new Error(`POST ${path} answered ${answer.statusCode}: ${text}`)
    return text === '' ? null : JSON.parse(text)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy()
    const ended = new Promise((resolve) => this.#service.once('exit', resolve))
    if (this.#service.kill('SIGTERM')) await ended
  }
}

function appears(socket: string, service: ChildProcess): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const watcher = watch(dirname(socket), () => {
    if (existsSync(socket)) resolve()
  })
  service.once('error', reject)
  service.once('exit', (code) => reject(new Error(`podman system service ended with ${code}`)))
  return promise.finally(() => watcher.close())
}
