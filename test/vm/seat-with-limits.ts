import { expect } from 'vitest'
import type { Limits } from '../../src/contract/policy.ts'
import type { Answer, PitProcess } from '../support/pit-process.ts'

export const LEVELS = ['level_1', 'level_2', 'level_3'] as const
export const MIB = 1024 ** 2

/** One empty mission of a level on a real pit, as a program over REST sees it. */
export class Mission implements AsyncDisposable {
  readonly #pit: PitProcess
  readonly id: string

  private constructor(pit: PitProcess, id: string) {
    this.#pit = pit
    this.id = id
  }

  static async open(pit: PitProcess, level: string): Promise<Mission> {
    const { body } = await pit.call('POST', '/v1/missions', {
      mission_name: `limits ${level}`,
      isolation_level: level,
      policies: { auto_revive: 'no' },
    })
    expect(body.error ?? null).toBeNull()
    return new Mission(pit, body.mission_id)
  }

  ask(agent_id: string, limits: Limits | undefined, command?: string[]): Promise<Answer> {
    return this.#pit.call('POST', `/v1/missions/${this.id}/seats`, {
      agent_id,
      ...(limits && { limits }),
      ...(command && { command }),
    })
  }

  async seat(agent_id: string, limits: Limits | undefined, command?: string[]): Promise<Answer['body']> {
    const { status, body } = await this.ask(agent_id, limits, command)
    expect(body.error ?? null).toBeNull()
    expect(status).toBe(201)
    return body
  }

  /** Ends what the last test left running: a busy seat would take its share from the next one. */
  async withdraw(agent_id: string): Promise<void> {
    const { status } = await this.#pit.call('DELETE', `/v1/missions/${this.id}/seats/${agent_id}?force=true`)
    expect(status).toBe(200)
  }

  async exec(agent_id: string, script: string, timeout = 600): Promise<Answer['body']> {
    const path = `/v1/missions/${this.id}/seats/${agent_id}/exec`
    const { status, body } = await this.#pit.call('POST', path, { command: ['sh', '-c', script], timeout })
    expect(status).toBe(200)
    return body
  }

  /** Waits for the seat to be dead and tells how it died. */
  async exit(agent_id: string): Promise<Answer['body']> {
    const path = `/v1/missions/${this.id}/seats/${agent_id}`
    return (await this.#pit.until(path, (seat) => seat.status === 'dead', 300)).exit
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { status } = await this.#pit.call('DELETE', `/v1/missions/${this.id}?force=true`)
    expect(status).toBe(200)
  }
}
