import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type Mortal, shellsWith, until } from './mortal.ts'
import type { Answer } from './pit-process.ts'

/** Does what it is pinged for, so that one which is frozen, or not there, is found out. */
const agent = (word: string): string[] => [
  'sh',
  '-c',
  `: ${word}; while :; do if [ -e /workspace/ping ]; then mv /workspace/ping /workspace/pong; fi; sleep 0.05; done`,
]

let cells = 0

/** One seat of one mission under a pit that dies, and what was acknowledged about it. */
export class MortalCell {
  readonly mortal: Mortal
  readonly level: string
  /** Stands in the command of the agent, and of nothing else on this host. */
  readonly word: string
  mission_id = ''
  directory = ''
  agent_id = 'phoenix'
  /** Lines of /workspace/work that were acknowledged, and those that each checkpoint holds. */
  lines: readonly string[] = []
  readonly saved = new Map<string, readonly string[]>()

  constructor(mortal: Mortal, level: string) {
    cells += 1
    this.mortal = mortal
    this.level = level
    this.word = `mortal-${process.pid}-${cells}`
  }

  async open(policies: object = {}, repo?: string): Promise<this> {
    // Every death is the first of its window, and no checkpoint comes by the clock.
    const steady = { retry_window: 0.001, max_retries: 1, checkpoint_interval: 86_400 }
    const { body: mission } = await this.mortal.pit.call('POST', '/v1/missions', {
      mission_name: this.word,
      isolation_level: this.level,
      max_agents: 100,
      ...(repo !== undefined && { repo }),
      policies: { ...steady, ...policies },
    })
    expect(mission.error).toBeUndefined()
    this.mission_id = mission.mission_id
    this.directory = mission.directory
    const seat = { agent_id: this.agent_id, command: agent(this.word) }
    const { status, body } = await this.mortal.pit.call('POST', `/v1/missions/${this.mission_id}/seats`, seat)
    expect(status, JSON.stringify(body)).toBe(201)
    return this
  }

  get path(): string {
    return `/v1/missions/${this.mission_id}/seats/${this.agent_id}`
  }

  /** A verb that may find the pit dead in the middle: then there is no answer. */
  async ask(method: string, path: string, body: object = {}): Promise<Answer | null> {
    return this.mortal.pit
      .call(method, path, method === 'GET' || method === 'DELETE' ? undefined : body)
      .catch(() => null)
  }

  async work(line: string): Promise<void> {
    const { body } = await this.mortal.pit.call('POST', `${this.path}/exec`, {
      command: ['sh', '-c', `echo ${line} >>/workspace/work`],
    })
    expect(body.exit_code, JSON.stringify(body)).toBe(0)
    this.lines = [...this.lines, line]
  }

  async checkpoint(): Promise<string | null> {
    const answer = await this.ask('POST', `${this.path}/checkpoints`)
    if (answer === null) return null
    expect(answer.status, JSON.stringify(answer.body)).toBe(201)
    this.saved.set(answer.body.checkpoint_id, this.lines)
    return answer.body.checkpoint_id
  }

  async kill(): Promise<void> {
    await this.ask('POST', `${this.path}/kill`)
  }

  /** Another agent has the work now; checkpoints stay with the seat that they are of. */
  handOver(agent_id: string): void {
    this.agent_id = agent_id
    this.saved.clear()
  }

  async checkpoints(): Promise<readonly string[]> {
    const { body } = await this.mortal.pit.call('GET', `${this.path}/checkpoints`)
    return body.checkpoints.map(({ checkpoint_id }: { checkpoint_id: string }) => checkpoint_id)
  }

  async settled(statuses: readonly string[] = ['active']): Promise<Answer['body']> {
    return this.mortal.pit.until(this.path, ({ status }) => statuses.includes(status))
  }

  /** Everything that must hold whenever nothing is going on. */
  async requireSound(): Promise<void> {
    await this.mortal.pit.call('POST', `${this.path}/checkpoints/prune`, {}) // comes after what is still to be pruned
    const events = await this.mortal.events(this.mission_id)
    requireGenerations(events, this.agent_id)
    await this.#requireCheckpoints(events)
    const { body: seat } = await this.mortal.pit.call('GET', this.path)
    const alive = seat.status === 'active' ? 1 : 0
    await until(async () => (await shellsWith(this.word)).length === alive, `there was not ${alive} agent`)
    if (alive === 1) await this.#requireAwake()
  }

  /** The agent itself works on, with what it had. */
  async #requireAwake(): Promise<void> {
    const script =
      'touch /workspace/ping; cat /workspace/work; until [ -e /workspace/pong ]; do sleep 0.02; done; rm /workspace/pong'
    const request = { command: ['sh', '-c', script], timeout: 20 }
    const { body } = await this.mortal.pit.call('POST', `${this.path}/exec`, request)
    expect(body, 'the agent is awake').toMatchObject({ exit_code: 0, timed_out: false })
    expect(body.stdout.split('\n').filter(Boolean)).toEqual(this.lines)
  }

  async #requireCheckpoints(events: readonly Answer['body'][]): Promise<void> {
    const listed = await this.checkpoints()
    const of = (type: string) => events.filter((event) => event.agent_id === this.agent_id && event.type === type)
    const pruned = new Set(of('checkpoint_pruned').map(({ data }) => data.checkpoint_id))
    const taken = of('checkpoint_taken').map(({ data }) => data.checkpoint.checkpoint_id)
    expect(listed).toEqual(taken.filter((id) => !pruned.has(id)))
    for (const id of this.saved.keys()) expect([...listed, ...pruned], 'an acknowledged one').toContain(id)
    for (const id of listed) {
      const { status, body } = await this.mortal.pit.call('POST', `${this.path}/checkpoints/${id}/verify`, {})
      expect([status, body.sound], JSON.stringify(body)).toEqual([200, true])
    }
    const onDisk = async () =>
      (await readdir(join(this.mortal.root, this.directory, 'checkpoints', this.agent_id)).catch(() => [])).toSorted()
    const wanted = listed.toSorted().join()
    await until(async () => (await onDisk()).join() === wanted, `the disk holds other checkpoints than ${wanted}`)
    const hidden = async () =>
      (await readdir(join(this.mortal.root, this.directory, 'worktree'))).filter((name) => name.startsWith('.'))
    await until(async () => (await hidden()).length === 0, 'layers that nobody needs are left')
  }

  async destroy(): Promise<void> {
    const { status, body } = await this.mortal.pit.call('DELETE', `/v1/missions/${this.mission_id}?force=true`)
    expect([status, body.status], JSON.stringify(body)).toEqual([200, 'destroyed'])
    await until(async () => (await shellsWith(this.word)).length === 0, 'agents are left')
  }
}

/** Each begins once, in its order; and each that ended was the newest then. */
function requireGenerations(events: readonly Answer['body'][], agent_id: string): void {
  const own = events.filter((event) => event.agent_id === agent_id)
  const started = own.filter(({ type }) => type === 'spawn_started').map(({ data }) => data.generation)
  expect(started).toEqual(started.map((_, i) => started[0] + i))
  for (const type of ['seat_spawned', 'seat_exited']) {
    const generations = own.filter((event) => event.type === type).map(({ data }) => data.generation)
    expect(generations, type).toEqual([...new Set(generations)].toSorted((a, b) => a - b))
  }
}
