import type { SeatName } from '../../contract/ids.ts'
import type { Released } from '../../contract/mission.ts'
import type { SandboxHandle } from '../../contract/seat.ts'
import { KeyedQueue } from '../../kernel/queues.ts'
import { isAlive, processFact, sendSignal } from '../../linux/process.ts'
import type { CellDriver, ExecOutcome } from '../../ports/cell-driver.ts'
import { ExecStarts } from '../shared/exec-starts.ts'
import { acceptHold } from '../shared/hold.ts'
import { Remains } from '../shared/remains.ts'
import { agentOf } from './cell-processes.ts'
import { Containers } from './containers.ts'
import type { PodmanDeps, Step } from './deps.ts'
import { endProcesses, removeContainer } from './end.ts'
import { translate } from './errors.ts'
import { runExec } from './exec.ts'
import { ExecTidier } from './exec-tidier.ts'
import { freezeOrThaw } from './freeze.ts'
import { ImageKeeper } from './image-keeper.ts'
import { probePodman } from './probe.ts'
import { Connection } from './runtime.ts'
import { spawnContainer } from './spawn.ts'

/** Level 3: rootless containers through Podman's Docker-compatible API. */
export interface PodmanDriver extends CellDriver {
  /** Stops watching and ends the API service when it is ours; containers go on. */
  close(): Promise<void>
}

const NOTHING: Released = { processes: 0, containers: 0, mounts: 0 }

const seatOf = ({ mission_id, agent_id }: SeatName): string => `${mission_id}/${agent_id}`

export const createPodmanDriver = (deps: PodmanDeps): PodmanDriver => new Level3(deps)

class Level3 implements PodmanDriver {
  readonly level = 'level_3'
  readonly capabilities = { freeze: true, log_format: 'k8s-file' } as const
  readonly images: ImageKeeper
  readonly #deps: PodmanDeps
  readonly #step: Step
  readonly #connection: Connection
  readonly #containers: Containers
  readonly #tidier: ExecTidier
  readonly #remains = new Remains()
  readonly #frozen = new Set<string>()
  readonly #starts = new ExecStarts()
  /** Everything that makes or ends a sandbox, one at a time for each seat: generations share its layer. */
  readonly #changes = new KeyedQueue()

  constructor(deps: PodmanDeps) {
    this.#deps = deps
    this.#step = deps.faults ?? (() => {})
    this.#connection = new Connection(deps)
    this.images = new ImageKeeper(deps, this.#connection)
    this.#containers = new Containers(deps, this.#connection)
    this.#tidier = new ExecTidier(deps.socket === null ? deps.environment : null)
  }

  probe(abort: AbortSignal) {
    return probePodman(this.#deps, this, this.#connection, abort)
  }

  spawn(...[spec, abort]: Parameters<CellDriver['spawn']>) {
    acceptHold(spec)
    const on = { deps: this.#deps, connection: this.#connection, containers: this.#containers, step: this.#step }
    return this.#changes.run(seatOf(spec.name), () => spawnContainer(on, spec, abort))
  }

  async exec(...[{ handle, spec }, exec, onOutput, abort]: Parameters<CellDriver['exec']>): Promise<ExecOutcome> {
    const { container_id: container, pid: init, start_time } = handle
    // Its init is marked from the beginning of its exit, before the kernel ends the other processes of the cell.
    const alive = () => isAlive(init, start_time) && processFact(init!)?.exiting === false
    if (container === null || init === null || !alive()) return { exit_code: null, signal: null }
    const { client, cgroups } = await this.#connection.runtime()
    const target = {
      container,
      init,
      alive,
      environment: await this.#containers.environmentOf(container),
      limits: { limits: spec.policy.limits, memory_by_cgroup: cgroups.controllers.includes('memory') },
      starts: this.#starts,
      started: (id: string) => this.#tidier.started(id, container),
    }
    return await this.#tidier.around(() => runExec(client, target, exec, onOutput, abort, this.#step))
  }

  /** As the same uid, straight to the process: Podman's kill goes to the init, which hands on all but KILL. */
  async signal(handle: SandboxHandle, signal: NodeJS.Signals | 'freeze' | 'thaw'): Promise<void> {
    const { pid, start_time, container_id } = handle
    if (pid === null || container_id === null || !isAlive(pid, start_time)) return
    if (signal === 'freeze' || signal === 'thaw') {
      return await this.#freezeOrThaw({ pid, id: container_id }, signal)
    }
    const agent = agentOf(pid)
    if (agent !== null) sendSignal(agent, signal)
  }

  async #freezeOrThaw(container: { pid: number; id: string }, to: 'freeze' | 'thaw'): Promise<void> {
    const client = async () => (await this.#connection.runtime()).client
    try {
      if (to === 'freeze') await this.#starts.hold(container.id)
      await freezeOrThaw(client, container, to, this.#frozen)
    } catch (error) {
      if (to === 'freeze') await this.#freezeOrThaw(container, 'thaw')
      throw error
    }
    if (to === 'thaw') this.#starts.release(container.id)
  }

  async list() {
    await this.#remains.gone()
    return await this.#containers.list()
  }

  adopt(handle: SandboxHandle) {
    return this.#containers.adopt(handle)
  }

  destroy(handle: SandboxHandle): Promise<Released> {
    return this.#changes.run(seatOf(handle), () => this.#destroy(handle))
  }

  exits(...[listener]: Parameters<CellDriver['exits']>) {
    return this.#containers.exits.listen(listener)
  }

  async close(): Promise<void> {
    this.#containers.exits.close()
    this.#tidier.close()
    await this.#remains.gone()
    await this.#connection.close()
  }

  async #destroy(handle: SandboxHandle): Promise<Released> {
    const { container_id: id } = handle
    // Ended and cleared by the destroy before this one, and as good as gone.
    if (id !== null && this.#remains.has(id)) return NOTHING
    try {
      if (id === null || !(await this.#containers.hasEnded(handle))) return await this.#remove(handle)
      this.#forget(id)
      await this.#containers.clear(handle.run_dir, handle, id)
      this.#remains.add(id, this.#remove(handle), (error) => this.#notRemoved(id, error))
      return { ...NOTHING, containers: 1 }
    } catch (error) {
      throw translate(error, `The cell of ${handle.agent_id} could not be destroyed`)
    }
  }

  async #remove(handle: SandboxHandle): Promise<Released> {
    const { client } = await this.#connection.runtime()
    this.#step('destroy.find')
    const found = await this.#containers.find(handle)
    const id = found?.Id ?? handle.container_id
    if (id !== null) this.#forget(id)
    const ended = await endProcesses(found, this.#step)
    await this.#containers.clear(handle.run_dir, handle, id)
    const containers = await removeContainer(client, id, found, this.#step)
    if (id !== null) this.#containers.overlays.removed(id)
    return { ...ended, containers }
  }

  #forget(id: string): void {
    this.#containers.forget(id)
    this.#tidier.forget(id)
    this.#frozen.delete(id)
    this.#starts.release(id)
  }

  /** The next start of a pit finds it in the list, and tries again. */
  #notRemoved(container: string, error: unknown): void {
    this.#deps.log.error({ container, error: String(error) }, 'a dead container could not be removed')
  }
}
