import type { ContainerInspectInfo } from 'dockerode'
import type { SandboxName } from '../../contract/ids.ts'
import type { Released } from '../../contract/mission.ts'
import type { Policy } from '../../contract/policy.ts'
import type { ExitFact, SandboxHandle } from '../../contract/seat.ts'
import { type Clock, isoTime } from '../../kernel/clock.ts'
import type { Log } from '../../kernel/log.ts'
import { bootId, bootOf } from '../../linux/process.ts'
import type { Sandbox, SandboxSpec } from '../../ports/cell-driver.ts'
import { PROBE_MISSION } from '../shared/probe.ts'
import { agentOf, exitDirectoryOf } from './cell-processes.ts'
import { type CgroupFacts, cgroupFacts, containerCgroup, enforcedLimits } from './cgroups.ts'
import { PodmanClient, type PodmanInfo } from './client.ts'
import { containerName, containerSpec, LABELS } from './container-spec.ts'
import { endContainer } from './end.ts'
import { isConflict, isGone, translate } from './errors.ts'
import { ExecTidier } from './exec-tidier.ts'
import { type Record as ExitRecord, ExitWatch, exitFact } from './exits.ts'
import { createImages, type Image, type ImageResolver } from './images.ts'
import { clearRecord, writeRecord } from './record.ts'
import { atGate, checkSpec, measureSandbox, openGate, type Running, runningOf } from './sandbox.ts'
import { seccompFor } from './seccomp-file.ts'
import { openService, type PodmanService } from './service.ts'

export interface PodmanDeps {
  /** An existing private directory of this driver, on the host at the same path as here. */
  readonly root: string
  /** Names this state directory on the host: label of its containers. */
  readonly stateKey: string
  /** The socket of an API that runs already; null: the driver runs one. */
  readonly socket: string | null
  /** For the socket of our own service; short. */
  readonly runtimeDir: string
  /** PATH, HOME, XDG_RUNTIME_DIR for our own service. */
  readonly environment: Readonly<Record<string, string>>
  readonly clock: Clock
  readonly log: Log
  /** The tag of the cell image, when a policy names none. */
  readonly cellTag: () => Promise<string>
  /** Where policies and their seccomp profiles lie. */
  readonly policiesDir: string
  /** The policy of the level, which the probe tries out. */
  readonly policy: Policy
  /** Called before each step; throws in tests. */
  readonly faults?: (step: string) => void
}

export const PODMAN_STEPS = {
  spawn: [
    'spawn.image',
    'spawn.create',
    'spawn.start',
    'spawn.inspect',
    'spawn.gate',
    'spawn.measure',
    'spawn.watch',
    'spawn.open',
  ],
  exec: ['exec.create', 'exec.start'],
  destroy: ['destroy.find', 'destroy.kill', 'destroy.remove', 'destroy.rest'],
} as const

export interface Runtime {
  readonly client: PodmanClient
  readonly service: PodmanService
  readonly info: PodmanInfo
  readonly cgroups: CgroupFacts
  readonly images: ImageResolver
}

/** The containers of one state directory: their beginning, their record, their end. */
export class Containers {
  readonly exits: ExitWatch
  readonly tidier: ExecTidier
  readonly #deps: PodmanDeps
  readonly #step: (name: string) => void
  readonly #environments = new Map<string, readonly string[]>()
  #runtime: Promise<Runtime> | null = null

  constructor(deps: PodmanDeps) {
    this.#deps = deps
    this.tidier = new ExecTidier(deps.socket === null ? deps.environment : null)
    this.#step = deps.faults ?? (() => {})
    this.exits = new ExitWatch(deps.clock, deps.log, (id) => this.#recordOf(id))
  }

  /** Connected at first use, so that a host without Podman has a pit all the same. */
  runtime(): Promise<Runtime> {
    this.#runtime ??= this.#connect().catch((error) => {
      this.#runtime = null
      throw translate(error, 'Podman cannot be used', 'isolation_unavailable')
    })
    return this.#runtime
  }

  async #connect(): Promise<Runtime> {
    const { socket, runtimeDir, environment, stateKey } = this.#deps
    const service = await openService({
      socket,
      environment,
      directory: `${runtimeDir}/lazarus-${stateKey.slice(0, 8)}`,
    })
    const client = new PodmanClient(service.socket)
    const info = await client.info()
    return { client, service, info, cgroups: cgroupFacts(info), images: createImages(client, this.#deps.cellTag) }
  }

  async spawn(spec: SandboxSpec, abort: AbortSignal): Promise<Sandbox> {
    abort.throwIfAborted()
    await checkSpec(spec)
    const runtime = await this.runtime()
    try {
      this.#step('spawn.image')
      const image = await runtime.images(spec.policy, abort)
      const running = await this.#start(runtime, spec, image, abort)
      return await this.#seat(spec, running, image, abort)
    } catch (error) {
      await this.#discard(runtime, spec)
      abort.throwIfAborted()
      throw translate(error, `The cell of ${spec.name.agent_id} could not be started`, 'spawn_failed')
    }
  }

  /** Finds the running container of that name or makes one. What an earlier attempt left half-done is replaced. */
  async #start(runtime: Runtime, spec: SandboxSpec, image: Image, abort: AbortSignal): Promise<Running> {
    const { client } = runtime
    this.#step('spawn.create')
    writeRecord(spec)
    const body = containerSpec(spec, {
      stateKey: this.#deps.stateKey,
      image,
      seccompPath: await seccompFor(this.#deps, spec.policy.seccomp),
      cgroups: runtime.cgroups,
    })
    const id = await client.create(body).catch(async (error) => {
      if (!isConflict(error)) throw error
      const found = await client.inspect(body.name!)
      if (this.runningOf(found)) return found.Id
      await client.remove(found.Id)
      return await client.create(body)
    })
    abort.throwIfAborted()
    this.#step('spawn.start')
    await client.start(id)
    abort.throwIfAborted()
    this.#step('spawn.inspect')
    const facts = await client.inspect(id)
    this.#environments.set(id, facts.Config.Env ?? [])
    return this.runningOf(facts) ?? { id, pid: -1, start_time: '' }
  }

  async #seat(spec: SandboxSpec, running: Running, image: Image, abort: AbortSignal): Promise<Sandbox> {
    this.#step('spawn.gate')
    const agent = await atGate(running, image.reference)
    abort.throwIfAborted()
    this.#step('spawn.measure')
    const effective = measureSandbox(running, agent, spec)
    const handle = this.handleOf(spec.name, spec.run_dir, running)
    this.#step('spawn.watch')
    this.watch(handle)
    this.#step('spawn.open')
    openGate(agent)
    return { handle, effective }
  }

  async #discard(runtime: Runtime, spec: SandboxSpec): Promise<void> {
    const name = containerName(spec.name, this.#deps.stateKey)
    const found = await runtime.client.inspect(name).catch(() => null)
    if (found) {
      this.exits.remove(found.Id)
      await endContainer(runtime.client, found, () => {}).catch((error) =>
        this.#deps.log.error({ error: String(error), name }, 'a failed spawn left a container'),
      )
    }
    await clearRecord(spec.run_dir).catch((error) =>
      this.#deps.log.error({ error: String(error), name }, 'a failed spawn left its overlay scratch'),
    )
  }

  async destroy(handle: SandboxHandle): Promise<Released> {
    try {
      const { client } = await this.runtime()
      this.#step('destroy.find')
      const found = await this.find(handle)
      const id = found?.Id ?? handle.container_id ?? ''
      this.exits.remove(id)
      this.tidier.forget(id)
      const released = await endContainer(client, found ?? { Id: id, State: { Pid: 0 } }, this.#step)
      this.#environments.delete(id)
      await clearRecord(handle.run_dir)
      return released
    } catch (error) {
      throw translate(error, `The cell of ${handle.agent_id} could not be destroyed`)
    }
  }

  async list(): Promise<SandboxHandle[]> {
    const { client } = await this.runtime()
    const label = `${LABELS.state}=${this.#deps.stateKey}`
    const found = await client.list(label).catch((error) => {
      throw translate(error, 'The containers could not be listed')
    })
    return found.flatMap(({ Id, Pid, Labels }) => {
      const name = nameOf(Labels ?? {})
      const running = runningOf(Id, Pid)
      return name && name.mission_id !== PROBE_MISSION
        ? [this.handleOf(name, Labels![LABELS.runDir] ?? '', running ?? { id: Id, pid: null, start_time: null })]
        : []
    })
  }

  async find(handle: SandboxHandle): Promise<ContainerInspectInfo | null> {
    const { client } = await this.runtime()
    try {
      return await client.inspect(containerName(handle, this.#deps.stateKey))
    } catch (error) {
      if (isGone(error)) return null
      throw translate(error, `The container of ${handle.agent_id} could not be looked up`)
    }
  }

  runningOf(facts: ContainerInspectInfo): Running | null {
    return facts.State.Running || facts.State.Paused ? runningOf(facts.Id, facts.State.Pid) : null
  }

  handleOf(
    { mission_id, agent_id, generation }: SandboxName,
    run_dir: string,
    running: { id: string; pid: number | null; start_time: string | null },
  ): SandboxHandle {
    const { id: container_id, pid, start_time } = running
    const agent_pid = pid === null ? null : agentOf(pid)
    return { level: 'level_3', mission_id, agent_id, generation, pid, start_time, agent_pid, container_id, run_dir }
  }

  watch(handle: SandboxHandle): void {
    const { mission_id, agent_id, generation, pid, start_time, container_id } = handle
    if (pid === null || start_time === null || container_id === null) return
    this.exits.add({
      id: container_id,
      name: { mission_id, agent_id, generation },
      pid,
      start_time,
      exit_directory: exitDirectoryOf(pid),
      memory_bounded: enforcedLimits(containerCgroup(pid, container_id))?.memory !== undefined,
    })
  }

  /** How a container that no longer runs came to its end. Podman forgets the code of one that a reboot ended. */
  exitOf(facts: ContainerInspectInfo, handle: SandboxHandle): ExitFact {
    const now = isoTime(this.#deps.clock.now())
    if (handle.start_time !== null && bootOf(handle.start_time) !== bootId()) {
      return {
        cause: 'host_restart',
        code: null,
        signal: null,
        died_at: now,
        noticed_at: now,
        noticed_by: 'adoption: another boot',
      }
    }
    return exitFact(recordIn(facts), now, 'adoption: record of Podman')
  }

  async environmentOf(id: string): Promise<readonly string[]> {
    const known = this.#environments.get(id)
    if (known) return known
    const { client } = await this.runtime()
    const found = (await client.inspect(id)).Config.Env ?? []
    this.#environments.set(id, found)
    return found
  }

  async #recordOf(id: string): Promise<ExitRecord> {
    const { client } = await this.runtime()
    return recordIn(await client.inspect(id))
  }

  async close(): Promise<void> {
    this.exits.close()
    this.tidier.close()
    const runtime = await this.#runtime?.catch(() => null)
    runtime?.client.close()
    runtime?.service.close()
  }
}

/** Without an exit code of its own the container was lost by the runtime. */
function recordIn({ State }: ContainerInspectInfo): ExitRecord {
  const ended = Date.parse(State.FinishedAt)
  if (State.Running || State.ExitCode < 0 || State.Status === 'created' || !(ended > 0)) return null
  return { code: State.ExitCode, oom: State.OOMKilled, died_at: isoTime(ended) }
}

function nameOf(labels: Readonly<Record<string, string>>): SandboxName | null {
  const [mission_id, agent_id, generation] = [
    labels[LABELS.mission],
    labels[LABELS.agent],
    Number(labels[LABELS.generation]),
  ]
  return mission_id && agent_id && generation > 0 ? { mission_id, agent_id, generation } : null
}
