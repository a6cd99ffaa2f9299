import { execFileSync, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { until } from '../conformance/cell-driver/trial.ts'
import { type Answer, PitProcess } from '../support/pit-process.ts'
import { makeRepository } from '../support/repository.ts'

export const LEVELS = ['level_1', 'level_2', 'level_3'] as const
export type Level = (typeof LEVELS)[number]

export interface ExecAnswer {
  readonly exit_code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
  readonly truncated: boolean
  readonly timed_out: boolean
}

/** One agent's seat, as an attacker or a victim sits in it. */
export class SeatOnStage {
  readonly path: string
  readonly token: string
  readonly #stage: Stage

  constructor(stage: Stage, mission_id: string, agent_id: string, token: string) {
    this.#stage = stage
    this.token = token
    this.path = `/v1/missions/${mission_id}/seats/${agent_id}`
  }

  async run(command: readonly string[], extra: object = {}): Promise<ExecAnswer> {
    const { status, body } = await this.#stage.call('POST', `${this.path}/exec`, { command, ...extra })
    if (status !== 200) throw new Error(`exec: ${status} ${JSON.stringify(body)}`)
    return body
  }

  sh(script: string, ...args: string[]): Promise<ExecAnswer> {
    return this.run(['sh', '-c', script, 'sh', ...args])
  }

  perl(code: string, ...args: string[]): Promise<ExecAnswer> {
    return this.run(['perl', '-e', code, ...args])
  }

  // biome-ignore lint/suspicious/noExplicitAny: what a stranger's program would see
  async facts(): Promise<any> {
    return (await this.#stage.call('GET', this.path)).body
  }

  /** The log as soon as the agent has finished a line. */
  said(): Promise<string> {
    return until('the agent says something', async () => ((text) => text.endsWith('\n') && text)(await this.log()))
  }

  async log(): Promise<string> {
    return (await this.#stage.call('GET', `${this.path}/logs`)).body
  }
}

export interface Mission {
  readonly id: string
  readonly directory: string
  seat(agent_id: string, request?: object): Promise<SeatOnStage>
  destroy(): Promise<Answer['body']>
}

/** A pit with a repository and the homes of two people, in which a secret lies that nobody may ever see again. */
export class Stage implements AsyncDisposable {
  readonly canary = `canary-${randomUUID()}`
  readonly pit: PitProcess
  readonly repository: { readonly path: string; readonly head: string }
  /** Everything that the pit ever answered here. */
  readonly replies: string[] = []
  readonly #disposable: AsyncDisposable

  private constructor(pit: PitProcess, repository: Awaited<ReturnType<typeof makeRepository>>) {
    this.pit = pit
    this.repository = repository
    this.#disposable = repository
  }

  static async open(
    environment: Record<string, string> = {},
    config: object = {},
    before: readonly string[] = [],
  ): Promise<Stage> {
    const pit = await PitProcess.create(environment, before)
    const stage = new Stage(pit, await makeRepository({ 'README.md': '# Project\n', 'src/main.txt': 'one\n' }))
    for (const name of ['alice', 'bert']) stage.furnish(join(pit.homesDir, name))
    await pit.configure({ homes: [`${pit.homesDir}/*`], ...config })
    await pit.start()
    return stage
  }

  get home(): string {
    return join(this.pit.homesDir, 'alice')
  }

  /** A home as people have them: secrets, a checkout, what is executable, an empty directory. */
  furnish(home: string, canary = this.canary): void {
    for (const name of ['.ssh', 'project/.git', 'empty']) mkdirSync(join(home, name), { recursive: true })
    for (const name of ['secret', '.ssh/id_ed25519', 'project/.git/config', 'project/secret'])
      writeFileSync(join(home, name), `${canary}\n`)
    writeFileSync(join(home, 'tool'), '#!/bin/sh\n', { mode: 0o755 })
  }

  async call(method: string, path: string, body?: unknown): Promise<Answer> {
    const answer = await this.pit.call(method, path, body)
    this.replies.push(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body))
    return answer
  }

  async mission(level: Level, request: object = {}): Promise<Mission> {
    const answer = await this.call('POST', '/v1/missions', {
      mission_name: `on stage at ${level}`,
      isolation_level: level,
      repo: this.repository.path,
      policies: { auto_revive: 'no' }, // attackers that die stay dead, unless a test wants otherwise
      ...request,
    })
    if (answer.status !== 201) throw new Error(JSON.stringify(answer.body))
    const { mission_id: id, directory } = answer.body
    return {
      id,
      directory,
      seat: async (agent_id, seat = {}) => {
        const { status, body } = await this.call('POST', `/v1/missions/${id}/seats`, { agent_id, ...seat })
        if (status !== 201) throw new Error(JSON.stringify(body))
        return new SeatOnStage(this, id, agent_id, body.token)
      },
      destroy: async () => (await this.call('DELETE', `/v1/missions/${id}?force=true`)).body,
    }
  }

  /**
   * Where in all that the pit keeps a text stands: files by their path in the state directory, archives unpacked, names
   * of files included, and every object of every repository and bundle as "objects".
   */
  keptIn(text: string): string[] {
    // Of a layer in use the kernel keeps its own directory shut.
    const find = spawnSync('find', [this.pit.stateDir, '-type', 'f', '-readable', '-print0'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const paths = find.stdout.split('\0').filter(Boolean)
    const holds = (path: string) => {
      const content = readFileSync(path)
      return path.includes(text) || (path.endsWith('.zst') ? zstdDecompressSync(content) : content).includes(text)
    }
    const found = paths.filter(holds).map((path) => relative(this.pit.stateDir, path))
    return objectsIn(paths).includes(text) ? [...found, 'objects'] : found
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.pit[Symbol.asyncDispose]()
    } finally {
      await this.#disposable[Symbol.asyncDispose]()
    }
  }
}

/** Every object of every repository and every bundle among these paths. */
function objectsIn(paths: readonly string[]): string {
  const objects = paths
    .filter((path) => /\/objects\/info\/|\/objects\/pack\/|\.git\/HEAD$/.test(path))
    .map((path) => path.replace(/\/(objects\/.*|HEAD)$/, ''))
  const scratch = mkdtempSync('/var/tmp/objects-')
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', scratch, ...args], {
      encoding: 'latin1',
      maxBuffer: 1e9,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  try {
    git('init', '-q', '--bare')
    writeFileSync(
      join(scratch, 'objects/info/alternates'),
      [...new Set(objects)].map((path) => `${path}/objects\n`).join(''),
    )
    for (const bundle of paths.filter((path) => path.endsWith('.bundle'))) git('bundle', 'unbundle', bundle)
    return git('cat-file', '--batch-all-objects', '--batch', '--unordered')
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Type, mode, owner, size, times, inode and name of everything below. */
export function manifest(directory: string): string[] {
  const listing = execFileSync('find', [directory, '-printf', '%y %m %U %s %i %n %T@ %C@ %p %l\n'], {
    encoding: 'utf8',
  })
  return listing.split('\n').toSorted()
}
