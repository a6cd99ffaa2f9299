import type { LevelReport } from '../../contract/host.ts'
import type { IsolationLevel } from '../../contract/ids.ts'
import type { Released } from '../../contract/mission.ts'
import type { SandboxHandle } from '../../contract/seat.ts'
import { asLazarusError, LazarusError } from '../../kernel/errors.ts'
import { KeyedQueue } from '../../kernel/queues.ts'
import { isAlive, sendSignal } from '../../linux/process.ts'
import type {
  Adoption,
  CellDriver,
  Confinement,
  DriverCapabilities,
  ExecOutcome,
  ExecSpec,
  ExitNotice,
  OnOutput,
  Sandbox,
  SandboxSpec,
} from '../../ports/cell-driver.ts'
import { adoptUnrecorded, endOf } from './adopt.ts'
import { type Ended, endSandbox } from './end.ts'
import { execInSandbox, hasAgent } from './exec.ts'
import { ExitWatch } from './exit-watch.ts'
import { Freezer } from './freezer.ts'
import { acceptHold } from './hold.ts'
import { judged, measureAgent } from './inspect.ts'
import { PROBE_MISSION, probeLevel } from './probe.ts'
import { handleOf, keyOf, type ProcessId, type SandboxRecord } from './records.ts'
import { Remains } from './remains.ts'
import { newAttempt, startSandbox } from './start.ts'
import { type HullDriverDeps, type Inner, openWorkshop, type Workshop } from './workshop.ts'

/** Levels 1 and 2: a shim that outlives the pit, a hull, and inside it the inner step that tells the levels apart. */
export class HullDriver implements CellDriver {
  readonly level: IsolationLevel
  readonly capabilities: DriverCapabilities = { freeze: true, log_format: 'raw' }
  readonly #shop: Workshop
  readonly #watch: ExitWatch
  readonly #queue = new KeyedQueue()
  readonly #remains = new Remains()
  readonly #freezer = new Freezer()

  constructor(inner: Inner, deps: HullDriverDeps) {
    this.level = inner.level
    this.#shop = openWorkshop(inner, deps)
    this.#watch = new ExitWatch({ records: this.#shop.records, clock: deps.clock, log: deps.log })
    this.#shop.launcher.watch((shim_pid) => this.#watch.shimEnded(shim_pid))
  }

  probe(abort: AbortSignal): Promise<LevelReport> {
    return this.#queue.run('probe', () => probeLevel(this, this.#shop, abort))
  }

  spawn(spec: SandboxSpec, abort: AbortSignal): Promise<Sandbox> {
    acceptHold(spec)
    return this.#queue.run(keyOf(spec.name), () => this.#spawn(spec, abort))
  }

  async #spawn(spec: SandboxSpec, abort: AbortSignal): Promise<Sandbox> {
    abort.throwIfAborted()
    requireNetwork(spec)
    await this.#remains.gone(keyOf(spec.name))
    const earlier = this.#shop.records.read(keyOf(spec.name))
    if (earlier && this.#runs(earlier)) {
      const effective = judged(spec, measureAgent(spec, earlier))
      this.#watch.add(earlier)
      return { handle: handleOf(earlier), effective }
    }
    if (earlier) await (await this.#end(earlier)).rest
    return await this.#start(spec, abort)
  }

  async #start(spec: SandboxSpec, abort: AbortSignal): Promise<Sandbox> {
    const attempt = newAttempt(this.#shop, spec)
    try {
      const sandbox = await startSandbox(this.#shop, spec, attempt, abort)
      this.#watch.add(attempt.record)
      return sandbox
    } catch (error) {
      await (await this.#end(attempt.record)).rest
      throw abort.aborted && error === abort.reason ? error : asLazarusError(error)
    }
  }

  async exec(
    sandbox: { readonly handle: SandboxHandle; readonly spec: Confinement },
    exec: ExecSpec,
    onOutput: OnOutput,
    abort: AbortSignal,
  ): Promise<ExecOutcome> {
    const record = this.#record(sandbox.handle)
    if (!record?.hull || !this.#runs(record)) return { exit_code: null, signal: null }
    const execs = this.#freezer.execsOf(keyOf(record.name))
    try {
      const place = {
        name: record.name,
        spec: sandbox.spec,
        hull: record.hull,
        agent_pid: record.agent_pid,
        cgroup: record.cgroup,
        execs,
      }
      return await execInSandbox(this.#shop, this.#freezer.starts, place, exec, onOutput, abort)
    } catch (error) {
      throw asLazarusError(error)
    }
  }

  async signal(handle: SandboxHandle, signal: NodeJS.Signals | 'freeze' | 'thaw'): Promise<void> {
    const record = this.#record(handle)
    if (!record?.hull || !lives(record.hull)) return
    const living = { ...record, hull: record.hull }
    if (signal === 'freeze') await this.#freezer.freeze(living)
    else if (signal === 'thaw') await this.#freezer.thaw(living)
    else if (hasAgent(living)) sendSignal(record.agent_pid!, signal)
  }

  async list(): Promise<readonly SandboxHandle[]> {
    await this.#remains.gone()
    return this.#shop.records
      .list()
      .filter(({ name }) => name.mission_id !== PROBE_MISSION)
      .map(handleOf)
  }

  async adopt(handle: SandboxHandle): Promise<Adoption> {
    const record = this.#record(handle)
    if (!record) return adoptUnrecorded(handle, this.#shop.deps.clock)
    if (this.#runs(record)) {
      this.#watch.add(record)
      return { state: 'running', handle: handleOf(record) }
    }
    return { state: 'exited', exit: await endOf(this.#shop, record) }
  }

  destroy(handle: SandboxHandle): Promise<Released> {
    const key = keyOf(handle)
    return this.#queue.run(key, async () => {
      const record = this.#record(handle)
      // What is on its way out was ended by the destroy before this one.
      if (!record || this.#remains.has(key)) return { processes: 0, containers: 0, mounts: 0 }
      this.#watch.remove(record)
      const { released, rest } = await this.#end(record, this.#shop.deps.faults)
      if (rest) this.#remains.add(key, rest, (error) => this.#notCleared(handle, error))
      return released
    })
  }

  async #end(record: SandboxRecord, faults?: (step: string) => void): Promise<Ended> {
    const key = keyOf(record.name)
    const execs = this.#freezer.execsOf(key)
    try {
      const ended = await endSandbox(this.#shop, record, { execs, ...(faults && { faults }) })
      this.#freezer.forget(key)
      return ended
    } catch (error) {
      throw asLazarusError(error)
    }
  }

  #notCleared({ mission_id, agent_id }: SandboxHandle, error: unknown): void {
    this.#shop.deps.log.error({ mission_id, agent_id, err: error }, 'a dead sandbox could not be cleared away whole')
  }

  exits(listener: (notice: ExitNotice) => void): Disposable {
    return this.#watch.listen(listener)
  }

  /** The record decides, not the handle: what the caller kept may be older. */
  #record(handle: SandboxHandle): SandboxRecord | null {
    return this.#shop.records.read(keyOf(handle))
  }

  /** Its agent has not ended, whatever the kernel still has to clear away. */
  #runs(record: SandboxRecord): boolean {
    return record.agent_pid !== null && lives(record.hull) && this.#shop.records.readExit(record) === null
  }
}

const lives = (process: ProcessId | null): boolean => isAlive(process?.pid ?? null, process?.start_time ?? null)

function requireNetwork(spec: SandboxSpec): void {
  if (spec.policy.network !== 'allowlist') return
  throw new LazarusError('isolation_unavailable', 'The network mode "allowlist" does not exist yet.', {
    remedy: 'Use "none", or "host" when the agent may reach everything that the host reaches.',
  })
}
