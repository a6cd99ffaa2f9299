import { join } from 'node:path'
import { Pool } from 'undici'
import { PitProcess } from '../support/pit-process.ts'
import { FirstByte } from './first-byte.ts'

export type Level = 'level_1' | 'level_2' | 'level_3'

/** A real pit in a process of its own, and a client that keeps its connections to the unix socket. */
export class BenchPit implements AsyncDisposable {
  readonly #process: PitProcess
  readonly #client: Pool

  private constructor(process: PitProcess, connections: number) {
    this.#process = process
    this.#client = new Pool('http://pit', { socketPath: join(process.stateDir, 'api.sock'), connections })
  }

  static async start(connections = 1): Promise<BenchPit> {
    return new BenchPit(await PitProcess.start(), connections)
  }

  /** As every start but the first of a version is: what Node compiled is kept. */
  static async startAgain(): Promise<BenchPit> {
    const process = await PitProcess.start()
    await process.stop()
    await process.start()
    return new BenchPit(process, 1)
  }

  /** Everything that the pit writes lies below it. */
  get directory(): string {
    return this.#process.stateDir
  }

  get pid(): number {
    return this.#process.pid
  }

  // biome-ignore lint/suspicious/noExplicitAny: what a stranger's program would see
  async call(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<any> {
    const answer = await this.#client.request({
      method,
      path,
      ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })
    const text = await answer.body.text()
    if (answer.statusCode >= 400) throw new Error(`${method} ${path} answered ${answer.statusCode}: ${text}`)
    return JSON.parse(text)
  }

  /** Opens a mission; the base of its commit is checked out when this answers. */
  async openMission(level: Level, repo: string, max_agents = 10_000): Promise<Cell> {
    const mission = await this.call('POST', '/v1/missions', {
      mission_name: `bench ${level}`,
      isolation_level: level,
      repo,
      max_agents,
    })
    return new Cell(this, mission.mission_id, mission.directory)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close()
    await this.#process[Symbol.asyncDispose]()
  }
}

export interface SpawnTimes {
  /** From the request to the first byte of the agent's output, as a reader of its log sees it. */
  readonly first_byte_ms: number
  /** From the request to the whole answer 201. */
  readonly answered_ms: number
}

/** One mission of the bench. */
export class Cell {
  readonly #pit: BenchPit
  readonly #directory: string
  readonly mission_id: string
  readonly path: string
  #seats = 0

  constructor(pit: BenchPit, mission_id: string, directory: string) {
    this.#pit = pit
    this.#directory = directory
    this.mission_id = mission_id
    this.path = `/v1/missions/${mission_id}`
  }

  /**
   * A seat whose agent says one line and stays. Its log is watched from before the request, because that is where
   * every reader of output looks (`GET …/logs?follow` too): the first byte counts when it is there to be read.
   */
  async spawn(): Promise<SpawnTimes & { agent_id: string }> {
    const agent_id = this.#nextName()
    using byte = new FirstByte(this.log(agent_id))
    const began = performance.now()
    await this.seat(['sh', '-c', 'echo ready; exec sleep infinity'], agent_id)
    const answered = performance.now()
    return { agent_id, first_byte_ms: (await byte.seen) - began, answered_ms: answered - began }
  }

  /** A seat with this agent, and what a revived one runs instead. Resolves with its name. */
  async seat(
    command: readonly string[],
    agent_id: string = this.#nextName(),
    resume_command?: readonly string[],
  ): Promise<string> {
    await this.#pit.call('POST', `${this.path}/seats`, { agent_id, role: 'write', command, resume_command })
    return agent_id
  }

  #nextName(): string {
    return `seat-${++this.#seats}`
  }

  /** What the agent says, as it is there to be read. */
  log(agent_id: string): string {
    return join(this.#directory, 'logs', `${agent_id}.log`)
  }

  checkpoint(agent_id: string): Promise<{ checkpoint_id: string }> {
    return this.#pit.call('POST', `${this.path}/seats/${agent_id}/checkpoints`, {})
  }

  restore(agent_id: string, checkpoint_id: string): Promise<unknown> {
    return this.#pit.call('POST', `${this.path}/seats/${agent_id}/restore`, { checkpoint_id })
  }

  kill(agent_id: string): Promise<unknown> {
    return this.#pit.call('POST', `${this.path}/seats/${agent_id}/kill`, { signal: 'SIGKILL' })
  }

  exec(agent_id: string, command: readonly string[]): Promise<{ exit_code: number }> {
    return this.#pit.call('POST', `${this.path}/seats/${agent_id}/exec`, { command })
  }

  withdraw(agent_id: string): Promise<unknown> {
    return this.#pit.call('DELETE', `${this.path}/seats/${agent_id}?force=true`)
  }

  destroy(): Promise<unknown> {
    return this.#pit.call('DELETE', `${this.path}?force=true`)
  }
}
