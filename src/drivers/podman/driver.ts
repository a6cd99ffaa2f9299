import type { SandboxHandle } from '../../contract/seat.ts'
import { isAlive, sendSignal } from '../../linux/process.ts'
import type { Adoption, CellDriver, ExecSpec, OnOutput, SandboxSpec } from '../../ports/cell-driver.ts'
import { agentOf, processesOf } from './cell-processes.ts'
import { containerCgroup } from './cgroups.ts'
import { containerName } from './container-spec.ts'
import { Containers, type PodmanDeps } from './containers.ts'
import { isConflict, translate } from './errors.ts'
import { runExec } from './exec.ts'
import { KeyedLock } from './keyed-lock.ts'
import { probePodman } from './probe.ts'

export type { PodmanDeps }

/** Level 3: rootless containers through Podman's Docker-compatible API. */
export interface PodmanDriver extends CellDriver {
  /** Stops watching and ends the API service when it is ours; containers go on. */
  close(): Promise<void>
}

export function createPodmanDriver(deps: PodmanDeps): PodmanDriver {
  const containers = new Containers(deps)
  const seats = new KeyedLock()
  const step = deps.faults ?? (() => {})
  const nameOf = (of: SandboxHandle | SandboxSpec['name']) => containerName(of, deps.stateKey)
  const driver: PodmanDriver = {
    level: 'level_3',
    capabilities: { freeze: true, log_format: 'k8s-file' },
    probe: (abort) => probePodman(deps, driver, containers, abort),
    spawn: (spec, abort) => seats.run(nameOf(spec.name), () => containers.spawn(spec, abort)),
    exec: (sandbox, exec, onOutput, abort) => exec_(containers, sandbox, exec, onOutput, abort, step),
    signal: (handle, signal) => signal_(containers, handle, signal),
    list: () => containers.list(),
    adopt: (handle) => adopt(containers, handle),
    destroy: (handle) => seats.run(nameOf(handle), () => containers.destroy(handle)),
    exits: (listener) => containers.exits.listen(listener),
    close: () => containers.close(),
  }
  return driver
}

async function exec_(
  containers: Containers,
  { handle, spec }: { handle: SandboxHandle; spec: SandboxSpec },
  exec: ExecSpec,
  onOutput: OnOutput,
  abort: AbortSignal,
  step: (name: string) => void,
) {
  const alive = () => isAlive(handle.pid, handle.start_time)
  if (handle.container_id === null || handle.pid === null || !alive()) return { exit_code: null, signal: null }
  const runtime = await containers.runtime()
  const { container_id: container, pid: init } = handle
  const target = {
    container,
    init,
    alive,
    environment: await containers.environmentOf(container),
    started: (id: string) => containers.tidier.started(id, container),
    limits: { limits: spec.policy.limits, memory_by_cgroup: runtime.cgroups.controllers.includes('memory') },
  }
  return await containers.tidier.around(() => runExec(runtime.client, target, exec, onOutput, abort, step))
}

async function signal_(
  containers: Containers,
  handle: SandboxHandle,
  signal: NodeJS.Signals | 'freeze' | 'thaw',
): Promise<void> {
  if (handle.pid === null || !isAlive(handle.pid, handle.start_time)) return
  if (signal === 'freeze' || signal === 'thaw') return await freeze(containers, handle, signal)
  // As the same uid, straight to the process: Podman's kill goes to the container's init, which hands on all but KILL.
  const agent = agentOf(handle.pid)
  if (agent !== null) sendSignal(agent, signal)
}

/** By Podman, which then refuses execs; without a cgroup of its own by stopping each process until none was missed. */
async function freeze(containers: Containers, handle: SandboxHandle, to: 'freeze' | 'thaw'): Promise<void> {
  const id = handle.container_id!
  const { client } = await containers.runtime()
  if (containerCgroup(handle.pid!, id) !== null) {
    await (to === 'freeze' ? client.pause(id) : client.unpause(id)).catch((error: unknown) => {
      if (!isConflict(error) && !/paused|not running/i.test(String(error)))
        throw translate(error, `The cell could not ${to}`)
    })
    return
  }
  const others = () => processesOf(handle.pid!).filter((pid) => pid !== handle.pid)
  for (let [before, now] = [-1, others().length]; now !== before; [before, now] = [now, others().length]) {
    for (const pid of others()) sendSignal(pid, to === 'freeze' ? 'SIGSTOP' : 'SIGCONT')
  }
}

async function adopt(containers: Containers, handle: SandboxHandle): Promise<Adoption> {
  const found = await containers.find(handle)
  if (!found) return { state: 'gone' }
  const running = containers.runningOf(found)
  if (running) {
    const adopted = containers.handleOf(handle, handle.run_dir, running)
    containers.watch(adopted)
    return { state: 'running', handle: adopted }
  }
  return { state: 'exited', exit: containers.exitOf(found, handle) }
}
