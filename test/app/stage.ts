import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Adapters } from '../../src/app/adapters.ts'
import type { Principal } from '../../src/app/application.ts'
import { createPit, type Pit } from '../../src/app/pit.ts'
import { config } from '../../src/contract/config.ts'
import type { DomainEventType, RecordedEvent } from '../../src/contract/event.ts'
import { type CellPolicies, missionRequest } from '../../src/contract/mission.ts'
import type { Seat } from '../../src/contract/seat.ts'
import { createFakeDriver } from '../../src/drivers/fake/driver.ts'
import { FakeHost } from '../../src/drivers/fake/host.ts'
import type { FakeProgram } from '../../src/drivers/fake/programs.ts'
import { silentLog } from '../../src/kernel/log.ts'
import type { CellDriver } from '../../src/ports/cell-driver.ts'
import type { EventLog } from '../../src/ports/event-log.ts'
import { createMemoryLog } from '../../src/store/memory-log.ts'
import { policyOf } from '../support/policies.ts'
import { FakeStore } from './fake-store.ts'

interface Life {
  isOver: boolean
}

/** What a pit that is dead asks for, it never gets. Looking into memory goes on. */
const mortal = <T extends object>(adapter: T, life: Life): T =>
  new Proxy(adapter, {
    get(target, name) {
      const member = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      const call = member.bind(target)
      return IMMORTAL.has(name) ? call : (...args: unknown[]) => (life.isOver ? new Promise(() => {}) : call(...args))
    },
  })

const IMMORTAL = new Set<string | symbol>(['read', 'head', 'follow', 'exits', 'close'])

/** The same driver, which hands its listener on: notices may come late, or twice. */
const overheard = (driver: CellDriver, onListener: (tell: Tell) => void): CellDriver =>
  new Proxy(driver, {
    get(target, name) {
      const member = Reflect.get(target, name)
      if (name !== 'exits') return typeof member === 'function' ? member.bind(target) : member
      return (listener: Tell) => {
        onListener(listener)
        return target.exits(listener)
      }
    },
  })

type Tell = Parameters<CellDriver['exits']>[0]

export const OPERATOR: Principal = { kind: 'operator', via: 'socket' }
export const NEVER = new AbortController().signal

/**
 * The pit above its ports: the real use cases over a ledger in memory, sandboxes that are pretended, checkpoints that
 * are kept in a list, and a wall clock that a test sets. The host, the ledger and the store outlive the pit.
 */
export class Stage implements AsyncDisposable {
  readonly clock = { offset_ms: 0, now: () => Date.now() + this.clock.offset_ms, monotonic: () => performance.now() }
  readonly entropy = { uuid: randomUUID, token: (bytes: number) => randomBytes(bytes).toString('base64url') }
  readonly ledger = createMemoryLog({ clock: this.clock })
  readonly store = new FakeStore(this.clock)
  readonly host: FakeHost
  readonly #dir: string
  readonly #config: object
  /** Told of every step; tests put theirs here. It may throw, or kill the pit. */
  fault: (point: string) => void = () => {}
  pit!: Pit
  /** Tells the pit of a death, as its driver would. */
  tell!: Tell
  #life = { isOver: false }

  private constructor(dir: string, config: object, programs: Record<string, FakeProgram>) {
    this.#dir = dir
    this.#config = config
    this.host = new FakeHost(programs)
  }

  static async open(config: object = {}, programs: Record<string, FakeProgram> = {}): Promise<Stage> {
    const stage = new Stage(await mkdtemp(join(tmpdir(), 'stage-')), config, programs)
    stage.start()
    await stage.pit.recovered()
    return stage
  }

  /** Another pit over what the one before left. */
  start(): void {
    this.#life = { isOver: false }
    this.pit = createPit(this.#adapters(this.#life))
  }

  /** As by kill -9: whatever the pit asks of the world from now on, it never hears an answer. */
  kill(): void {
    this.#life.isOver = true
  }

  get isKilled(): boolean {
    return this.#life.isOver
  }

  #adapters(life: Life): Adapters {
    const { clock, entropy } = this
    const faults = (point: string) => {
      if (!life.isOver) this.fault(point)
    }
    const [ledger, store, workspace] = [this.ledger, this.store, this.store.workspace].map((it) =>
      mortal(it, life),
    ) as [EventLog, FakeStore, FakeStore['workspace']]
    const fake = createFakeDriver({ host: this.host, clock, level: 'level_2', faults })
    const driver = mortal(
      overheard(fake, (tell) => {
        this.tell = tell
      }),
      life,
    )
    const nothing = async () => {}
    return {
      clock,
      entropy,
      ledger,
      faults,
      log: silentLog,
      config: config.parse({ revivals_at_once: 4, ...this.#config }),
      drivers: new Map([['level_2', driver]]),
      policies: new Map([['level_2', policyOf('level_2')]]),
      workspace,
      checkpoints: store,
      door: { open: async () => this.#dir, close: nothing },
      runDirs: { make: async () => this.#dir, remove: nothing },
      cells: {
        path: (mission_id) => join(this.#dir, mission_id),
        logPath: (_, agent_id) => join(this.#dir, `${agent_id}.log`),
        lay: async () => true,
        write: nothing,
        heartbeat: nothing,
        reduceToRecord: async () => 'record.json',
        remove: nothing,
        scan: () => Promise.reject(new Error('not here')),
      },
      vault: { put: nothing, get: async () => ({}), remove: nothing },
      heartbeats: { put: nothing, all: () => [], remove: nothing, close: nothing },
      gateway: { ask: async () => ({ ok: false, error: 'not here' }) },
      homes: {
        seal: async () => ({ seal_id: 'seal_1', homes: [], entries: 0, took_ms: 0 }) as never,
        verify: async () => ({ unchanged: true, entries: 0, unreadable: 0, changed: [] }) as never,
        discard: nothing,
        registered: async () => [],
        refuseHome: nothing,
      },
      seatLogs: { read: async function* () {}, wroteAt: async () => null },
      leftovers: { sweep: nothing },
      hostFacts: async () => ({ overlay: true }) as never,
      self: () => ({}) as never,
      operatorTokenHash: 'none',
      ownPaths: [],
    }
  }

  async mission(policies: Partial<CellPolicies> = {}, max_agents = 10): Promise<string> {
    const request = { mission_name: 'stage', isolation_level: 'level_2', max_agents, policies }
    return (await this.pit.createMission(missionRequest.parse(request), OPERATOR, NEVER)).mission_id
  }

  async seat(mission_id: string, agent_id = 'phoenix', command = ['sleep', 'infinity']): Promise<void> {
    await this.pit.addSeat(mission_id, { agent_id, role: 'write', command }, NEVER)
  }

  /** Resolves with the seat once it is so; rejects after a while. */
  async until(mission_id: string, holds: (seat: Seat) => boolean, agent_id = 'phoenix'): Promise<Seat> {
    const abort = AbortSignal.timeout(10_000)
    const events = this.pit.followEvents({ mission_id, after: 0 }, abort)
    for await (const _ of events) {
      const seat = this.pit.readSeat(mission_id, agent_id)
      if (holds(seat)) return seat
    }
    throw new Error(`it did not come about: ${JSON.stringify(this.pit.readSeat(mission_id, agent_id))}`)
  }

  /** The sandbox of the seat that lives now; the only one there may be. */
  sandbox(mission_id: string, agent_id = 'phoenix') {
    const all = [...this.host.sandboxes.values()].filter(
      ({ spec, end }) => spec.name.mission_id === mission_id && spec.name.agent_id === agent_id && !end,
    )
    if (all.length !== 1) throw new Error(`${all.length} sandboxes of ${agent_id} live`)
    return all[0]!
  }

  events(...types: DomainEventType[]): readonly RecordedEvent[] {
    return this.pit.readEvents(types.length > 0 ? { types } : {})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.fault = () => {}
    if (this.isKilled) this.start()
    await this.pit[Symbol.asyncDispose]()
    for (const sandbox of this.host.sandboxes.values()) sandbox.kill('SIGKILL')
    await this.ledger.close()
    await rm(this.#dir, { recursive: true, force: true })
  }
}
