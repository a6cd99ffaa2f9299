import type { ContainerCreateOptions } from 'dockerode'
import { LazarusError } from '../../kernel/errors.ts'
import type { Sandbox, SandboxSpec } from '../../ports/cell-driver.ts'
import { untilReleased } from '../shared/hold.ts'
import { monitorOf } from './cell-processes.ts'
import { containerCgroup, endWholeWhenOutOfMemory } from './cgroups.ts'
import type { PodmanClient } from './client.ts'
import { containerSpec } from './container-spec.ts'
import { type Containers, runningIn } from './containers.ts'
import type { PodmanDeps, Step } from './deps.ts'
import { endProcesses, removeContainer } from './end.ts'
import { isConflict, translate } from './errors.ts'
import type { Image } from './images.ts'
import { unexpected } from './launch.ts'
import { overlayWorkOf, writeRecord } from './record.ts'
import type { Connection, Runtime } from './runtime.ts'
import { atGate, checkSpec, measureSandbox, openGate, type Running } from './sandbox.ts'
import { seccompFor } from './seccomp-file.ts'

const PODMAN_LAG_MS = 5_000

export interface Spawning {
  readonly deps: PodmanDeps
  readonly connection: Connection
  readonly containers: Containers
  readonly step: Step
}

/** Makes, starts, measures and only then releases the agent. Whatever fails on the way, nothing is left. */
export async function spawnContainer(on: Spawning, spec: SandboxSpec, abort: AbortSignal): Promise<Sandbox> {
  abort.throwIfAborted()
  await checkSpec(spec)
  const runtime = await on.connection.runtime()
  let touched = false
  try {
    on.step('spawn.image')
    const image = await runtime.images.find(spec.policy, abort)
    const body = await bodyOf(on, runtime, spec, image)
    on.step('spawn.create')
    touched = true
    writeRecord(spec, null)
    const id = await findOrCreate(runtime.client, body)
    await on.containers.overlays.created(id, overlayWorkOf(spec))
    abort.throwIfAborted()
    const running = await start(on, runtime.client, id, image, spec, abort)
    return await release(on, spec, running, abort)
  } catch (error) {
    if (touched) await discard(on, runtime.client, spec)
    abort.throwIfAborted()
    throw translate(error, `The cell of ${spec.name.agent_id} could not be started`, 'spawn_failed')
  }
}

async function bodyOf(
  on: Spawning,
  runtime: Runtime,
  spec: SandboxSpec,
  image: Image,
): Promise<ContainerCreateOptions> {
  const seccompPath = await seccompFor(on.deps, spec.policy.seccomp)
  return containerSpec(spec, { stateKey: on.deps.stateKey, image, seccompPath, cgroups: runtime.cgroups })
}

/** A container of that name runs: an earlier attempt came so far. One that does not run is half-done, and replaced. */
async function findOrCreate(client: PodmanClient, body: ContainerCreateOptions): Promise<string> {
  try {
    return await client.create(body)
  } catch (error) {
    if (!isConflict(error)) throw error
    const found = await client.inspect(body.name!)
    if (runningIn(found)) return found.Id
    await client.remove(found.Id)
    return await client.create(body)
  }
}

async function start(
  on: Spawning,
  client: PodmanClient,
  id: string,
  image: Image,
  spec: SandboxSpec,
  abort: AbortSignal,
): Promise<Running> {
  on.step('spawn.start')
  await client.start(id)
  abort.throwIfAborted()
  on.step('spawn.inspect')
  const facts = await client.inspect(id)
  refuseAdded(unexpected(facts.Config.Env ?? [], image.environment, spec.environment))
  const running = runningIn(facts)
  on.step('spawn.gate')
  const ready = running !== null && (await atGate(running))
  abort.throwIfAborted()
  if (ready) return running
  throw await endedEarly(client, id)
}

function refuseAdded(names: readonly string[]): void {
  if (names.length === 0) return
  throw new LazarusError('spawn_failed', `Podman adds variables of the host to the cell: ${names.join(', ')}`, {
    remedy: 'Remove "env" from [containers] in containers.conf.',
  })
}

async function release(on: Spawning, spec: SandboxSpec, running: Running, abort: AbortSignal): Promise<Sandbox> {
  const handle = on.containers.handleOf(spec.name, spec.run_dir, running)
  on.step('spawn.measure')
  writeRecord(spec, monitorOf(running.pid))
  endWholeWhenOutOfMemory(containerCgroup(running.pid, running.id))
  const effective = measureSandbox(running, handle.agent_pid!, spec)
  abort.throwIfAborted()
  on.step('spawn.watch')
  on.containers.watch(handle)
  await untilReleased(spec.hold, abort)
  on.step('spawn.open')
  openGate(handle.agent_pid!)
  return { handle, effective }
}

/** We are in another pid namespace than Podman: neither measurement nor signals nor exits would work. */
const unseen = (pid: number): LazarusError =>
  new LazarusError(
    'isolation_unavailable',
    `Podman started the cell as process ${pid}, which cannot be seen from here.`,
    {
      remedy: 'Run the pit in the pid namespace of the host: podman run --pid=host.',
    },
  )

async function endedEarly(client: PodmanClient, id: string): Promise<LazarusError> {
  const { State, Config } = await settled(client, id)
  if (State.Running) return unseen(State.Pid)
  if (await client.has(id, '/bin/sh')) {
    return new LazarusError('spawn_failed', `The container ended with ${State.ExitCode} before the agent started.`)
  }
  return new LazarusError('image_unavailable', `The image ${Config.Image} has no /bin/sh.`, {
    remedy: 'Use an image with a POSIX shell at /bin/sh.',
  })
}

/** Podman's word on an end lags behind the end itself; whoever is called running for longer runs out of our sight. */
async function settled(client: PodmanClient, id: string) {
  const deadline = performance.now() + PODMAN_LAG_MS
  for (;;) {
    const found = await client.inspect(id)
    if (!found.State.Running || performance.now() > deadline) return found
    await new Promise((go) => setTimeout(go, 50))
  }
}

async function discard(on: Spawning, client: PodmanClient, spec: SandboxSpec): Promise<void> {
  try {
    const found = await on.containers.find(spec.name)
    if (found) on.containers.forget(found.Id)
    await endProcesses(found, () => {})
    if (found) await removeContainer(client, found.Id, found, () => {})
    if (found) on.containers.overlays.removed(found.Id)
    await on.containers.clear(spec.run_dir, spec.name, null)
  } catch (error) {
    on.deps.log.error(
      { error: String(error), run_dir: spec.run_dir },
      'a failed spawn could not be undone; destroy will',
    )
  }
}
