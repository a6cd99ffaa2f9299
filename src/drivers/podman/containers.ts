import type { ContainerInspectInfo } from 'dockerode'
import type { SandboxName } from '../../contract/ids.ts'
import type { SandboxHandle } from '../../contract/seat.ts'
import { isoTime } from '../../kernel/clock.ts'
import { bootId, bootOf, isAlive } from '../../linux/process.ts'
import type { Adoption } from '../../ports/cell-driver.ts'
import { PROBE_MISSION } from '../shared/probe.ts'
import { agentOf, endCell, exitDirectoryOf, monitorOf } from './cell-processes.ts'
import { containerCgroup, memoryCgroup } from './cgroups.ts'
import type { ContainerSummary } from './client.ts'
import { containerName, LABELS } from './container-spec.ts'
import type { PodmanDeps } from './deps.ts'
import { isGone, translate } from './errors.ts'
import { type ExitRecord, exitFact, lostFact } from './exit-facts.ts'
import { ExitWatch } from './exits.ts'
import { Overlays } from './overlays.ts'
import { clearRecord, monitorIn } from './record.ts'
import type { Connection } from './runtime.ts'
import { type Running, runningOf } from './sandbox.ts'

const SETTLE_MS = 2000

/** The containers of one state directory as Podman and /proc show them, and the watch over their ends. */
export class Containers {
  readonly exits: ExitWatch
  readonly overlays: Overlays
  readonly #deps: PodmanDeps
  readonly #connection: Connection
  readonly #environments = new Map<string, readonly string[]>()

  constructor(deps: PodmanDeps, connection: Connection) {
    this.#deps = deps
    this.#connection = connection
    this.overlays = new Overlays(() => this.#all())
    this.exits = new ExitWatch(deps.clock, deps.log, (id) => this.#recordOf(id))
  }

  nameOf(name: SandboxName): string {
    return containerName(name, this.#deps.stateKey)
  }

  async list(): Promise<SandboxHandle[]> {
    const found = await this.#all()
    return found.flatMap(({ Id, Pid, Labels }) => {
      const name = sandboxName(Labels ?? {})
      const running = runningOf(Id, Pid) ?? { id: Id, pid: null, start_time: null }
      return name && name.mission_id !== PROBE_MISSION
        ? [this.handleOf(name, Labels![LABELS.runDir] ?? '', running)]
        : []
    })
  }

  async #all(): Promise<readonly ContainerSummary[]> {
    const { client } = await this.#connection.runtime()
    return await client.list(`${LABELS.state}=${this.#deps.stateKey}`).catch((error) => {
      throw translate(error, 'The containers could not be listed')
    })
  }

  async find(name: SandboxName): Promise<ContainerInspectInfo | null> {
    const { client } = await this.#connection.runtime()
    try {
      return await client.inspect(this.nameOf(name))
    } catch (error) {
      if (isGone(error)) return null
      throw translate(error, `The container of ${name.agent_id} could not be looked up`)
    }
  }

  async adopt(handle: SandboxHandle): Promise<Adoption> {
    const found = await this.#settled(handle)
    const running = found && runningIn(found)
    if (running) return await this.#adoptRunning(handle, running)
    if (!found && handle.container_id !== null) this.overlays.removed(handle.container_id)
    if (isOfThisBoot(handle)) {
      if (!found) return { state: 'gone' }
      return { state: 'exited', exit: exitFact(recordIn(found), this.#now(), 'record of Podman') }
    }
    return { state: 'exited', exit: lostFact('host_restart', this.#now(), 'boot id') }
  }

  /** One whose monitor was killed meanwhile is ended: its output goes nowhere, and nobody would tell its end. */
  async #adoptRunning(handle: SandboxHandle, running: Running): Promise<Adoption> {
    const monitor = monitorIn(handle.run_dir, handle.generation)
    if (monitor && !isAlive(monitor.pid, monitor.start_time)) {
      await endCell(running)
      return { state: 'exited', exit: lostFact('runtime_gone', this.#now(), 'end of its monitor') }
    }
    const adopted = this.handleOf(handle, handle.run_dir, running)
    this.watch(adopted)
    return { state: 'running', handle: adopted }
  }

  #now(): string {
    return isoTime(this.#deps.clock.now())
  }

  handleOf(
    { mission_id, agent_id, generation }: SandboxName,
    run_dir: string,
    { id: container_id, pid, start_time }: { id: string; pid: number | null; start_time: string | null },
  ): SandboxHandle {
    const agent_pid = pid === null ? null : agentOf(pid)
    return { level: 'level_3', mission_id, agent_id, generation, pid, start_time, agent_pid, container_id, run_dir }
  }

  watch({ mission_id, agent_id, generation, pid, start_time, container_id: id }: SandboxHandle): void {
    if (pid === null || start_time === null || id === null) return
    const monitor = monitorOf(pid)
    this.exits.add({
      id,
      name: { mission_id, agent_id, generation },
      pid,
      start_time,
      monitor,
      exit_directory: monitor && exitDirectoryOf(monitor),
      memory_cgroup: memoryCgroup(containerCgroup(pid, id)),
    })
  }

  /** What the container was made with, "NAME=value" lines: an exec inherits it. */
  async environmentOf(id: string): Promise<readonly string[]> {
    const { client } = await this.#connection.runtime()
    const found = this.#environments.get(id) ?? (await client.inspect(id)).Config.Env ?? []
    this.#environments.set(id, found)
    return found
  }

  /** Whether it is one of ours, and nothing of it runs or writes any more. Without asking Podman, which may be busy with it. */
  async hasEnded({ container_id, pid, start_time }: SandboxHandle): Promise<boolean> {
    if (container_id === null || pid === null || start_time === null || bootOf(start_time) !== bootId()) return false
    return !isAlive(pid, start_time) && (await this.overlays.knows(container_id))
  }

  /** What is left outside of Podman of a sandbox in which nothing runs any more; its own container may still be there. */
  async clear(run_dir: string, { generation }: SandboxName, own: string | null): Promise<void> {
    await clearRecord(run_dir, generation, (work) => this.overlays.isMountedByAnother(work, own))
  }

  forget(id: string): void {
    this.exits.remove(id)
    this.#environments.delete(id)
  }

  /** Podman learns of an end some milliseconds late: until then it calls running what has no process any more. */
  async #settled(name: SandboxName): Promise<ContainerInspectInfo | null> {
    const deadline = performance.now() + SETTLE_MS
    for (;;) {
      const found = await this.find(name)
      const between = found?.State.Running && !runningIn(found)
      if (!between || performance.now() > deadline) return found
      await new Promise((go) => setTimeout(go, 20))
    }
  }

  async #recordOf(id: string): Promise<ExitRecord | null> {
    const { client } = await this.#connection.runtime()
    return recordIn(await client.inspect(id))
  }
}

export const runningIn = ({ Id, State }: ContainerInspectInfo): Running | null =>
  State.Running || State.Paused ? runningOf(Id, State.Pid) : null

/** Podman forgets how a container ended that a reboot ended, and may forget the container. */
const isOfThisBoot = ({ start_time }: SandboxHandle): boolean => start_time === null || bootOf(start_time) === bootId()

/** Without an exit code of its own the container was lost by the runtime. */
function recordIn({ State }: ContainerInspectInfo): ExitRecord | null {
  const ended = Date.parse(State.FinishedAt)
  if (State.Running || State.ExitCode < 0 || State.Status === 'created' || !(ended > 0)) return null
  return { code: State.ExitCode, oom: State.OOMKilled, died_at: isoTime(ended) }
}

function sandboxName(labels: Readonly<Record<string, string>>): SandboxName | null {
  const { [LABELS.mission]: mission_id, [LABELS.agent]: agent_id } = labels
  const generation = Number(labels[LABELS.generation])
  return mission_id && agent_id && generation > 0 ? { mission_id, agent_id, generation } : null
}
