import { access } from 'node:fs/promises'
import type { LevelReport } from '../../contract/host.ts'
import type { IsolationLevel, SandboxName } from '../../contract/ids.ts'
import type { EffectiveIsolation, LimitFact } from '../../contract/policy.ts'
import type { ExitFact, SandboxHandle } from '../../contract/seat.ts'
import { declare } from '../../domain/isolation.ts'
import { type Clock, isoTime } from '../../kernel/clock.ts'
import { LazarusError } from '../../kernel/errors.ts'
import type { Adoption, CellDriver, ExitNotice, Sandbox, SandboxSpec } from '../../ports/cell-driver.ts'
import { acceptHold, untilReleased } from '../shared/hold.ts'
import { type FakeHost, type FakeSandbox, keyOf } from './host.ts'

export interface FakeDeps {
  readonly host: FakeHost
  readonly clock: Clock
  readonly level?: IsolationLevel
  readonly faults?: (step: string) => void
}

export const FAKE_STEPS = {
  spawn: ['spawn.check', 'spawn.start', 'spawn.watch'],
  exec: ['exec.start'],
  destroy: ['destroy.kill', 'destroy.remove'],
} as const

/** Runs nothing and isolates nothing: for tests of the logic above the port. It keeps what the port says otherwise. */
export function createFakeDriver(deps: FakeDeps): CellDriver {
  return new FakeDriver(deps)
}

const ENDING = new Set<string>(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGABRT'])

class FakeDriver implements CellDriver {
  readonly level: IsolationLevel
  readonly capabilities = { freeze: true, log_format: 'raw' } as const
  readonly #deps: FakeDeps
  readonly #listeners = new Set<(notice: ExitNotice) => void>()
  readonly #watched = new Set<FakeSandbox>()

  constructor(deps: FakeDeps) {
    this.#deps = deps
    this.level = deps.level ?? 'none'
  }

  probe(): Promise<LevelReport> {
    return Promise.resolve({
      level: this.level,
      status: 'ready',
      reason: null,
      remedy: null,
      effective: null,
      checks: [],
    })
  }

  async spawn(spec: SandboxSpec, abort: AbortSignal): Promise<Sandbox> {
    acceptHold(spec)
    abort.throwIfAborted()
    const found = this.#deps.host.sandboxes.get(keyOf(spec.name))
    if (found && !found.end) return this.#watch(found)
    this.#step('spawn.check')
    await check(spec)
    abort.throwIfAborted()
    await untilReleased(spec.hold, abort)
    this.#step('spawn.start')
    const sandbox = this.#deps.host.start(spec)
    try {
      this.#step('spawn.watch')
      return this.#watch(sandbox)
    } catch (error) {
      sandbox.kill('SIGKILL')
      this.#deps.host.sandboxes.delete(keyOf(spec.name))
      throw error
    }
  }

  async exec(...[{ handle }, exec, onOutput, abort]: Parameters<CellDriver['exec']>) {
    this.#step('exec.start')
    const sandbox = this.#deps.host.sandboxes.get(keyOf(handle))
    return sandbox && !sandbox.end ? await sandbox.exec(exec, onOutput, abort) : { exit_code: null, signal: null }
  }

  async signal(handle: SandboxHandle, signal: NodeJS.Signals | 'freeze' | 'thaw'): Promise<void> {
    const sandbox = this.#deps.host.sandboxes.get(keyOf(handle))
    if (!sandbox || sandbox.end) return
    if (signal === 'freeze' || signal === 'thaw') sandbox.frozen = signal === 'freeze'
    else if (ENDING.has(signal)) sandbox.kill(signal)
  }

  async list() {
    return [...this.#deps.host.sandboxes.values()].map((sandbox) => this.#handle(sandbox))
  }

  async adopt(handle: SandboxHandle): Promise<Adoption> {
    const sandbox = this.#deps.host.sandboxes.get(keyOf(handle))
    if (!sandbox) return { state: 'gone' }
    if (sandbox.end) return { state: 'exited', exit: this.#exit(sandbox) }
    return { state: 'running', handle: this.#watch(sandbox).handle }
  }

  async destroy(handle: SandboxHandle) {
    const sandbox = this.#deps.host.sandboxes.get(keyOf(handle))
    this.#step('destroy.kill')
    if (sandbox) this.#watched.delete(sandbox)
    const processes = sandbox && !sandbox.end ? 1 : 0
    sandbox?.kill('SIGKILL')
    await sandbox?.ended
    this.#step('destroy.remove')
    this.#deps.host.sandboxes.delete(keyOf(handle))
    return { processes, containers: 0, mounts: 0 }
  }

  exits(listener: (notice: ExitNotice) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  #watch(sandbox: FakeSandbox): Sandbox {
    if (!this.#watched.has(sandbox)) {
      this.#watched.add(sandbox)
      void sandbox.ended.then(() => this.#tell(sandbox))
    }
    return { handle: this.#handle(sandbox), effective: effective(sandbox.spec) }
  }

  #tell(sandbox: FakeSandbox): void {
    if (!this.#watched.delete(sandbox)) return
    const { mission_id, agent_id, generation } = sandbox.spec.name
    const notice = { name: { mission_id, agent_id, generation }, exit: this.#exit(sandbox) }
    for (const listener of this.#listeners) listener(notice)
  }

  #handle({ spec, pid, end }: FakeSandbox): SandboxHandle {
    const { mission_id, agent_id, generation }: SandboxName = spec.name
    const alive = end ? null : pid
    const start_time = end ? null : `fake:${pid}`
    const container_id = null
    return {
      level: this.level,
      mission_id,
      agent_id,
      generation,
      pid: alive,
      start_time,
      agent_pid: alive,
      container_id,
      run_dir: spec.run_dir,
    }
  }

  #exit({ end }: FakeSandbox): ExitFact {
    const at = isoTime(this.#deps.clock.now())
    return {
      cause: end?.signal ? 'signal' : 'exit',
      code: end?.code ?? null,
      signal: end?.signal ?? null,
      died_at: at,
      noticed_at: at,
      noticed_by: 'fake',
    }
  }

  #step(name: string): void {
    try {
      this.#deps.faults?.(name)
    } catch (cause) {
      throw new LazarusError('runtime_failed', `The fake failed at ${name}`, { cause })
    }
  }
}

async function check(spec: SandboxSpec): Promise<void> {
  if (spec.policy.network === 'allowlist')
    throw new LazarusError('isolation_unavailable', 'The network mode "allowlist" is not built yet.')
  for (const mount of spec.mounts) {
    if (mount.kind !== 'bind') continue
    await access(mount.source).catch((cause) => {
      throw new LazarusError('spawn_failed', `${mount.source} is to be mounted into the cell, and is not there.`, {
        cause,
      })
    })
  }
}

/** Pretends that every promise of the policy is kept. */
function effective(spec: SandboxSpec): EffectiveIsolation {
  const { namespaces, no_new_privs, seccomp, nested_user_namespaces, distinct_host_uid, network, limits } = declare(
    spec.policy,
  )
  const worktree = spec.mounts.find((mount) => mount.target === '/workspace')
  const workspace = !worktree
    ? 'none'
    : worktree.kind === 'overlay'
      ? 'overlay'
      : worktree.kind === 'bind' && worktree.read_only
        ? 'read_only'
        : 'clone'
  const facts = Object.entries(limits).map(([name, value]): [string, LimitFact] => [
    name,
    { value: value ?? null, enforced_by: 'cgroup' },
  ])
  return {
    ...{
      namespaces,
      no_new_privs,
      capabilities: [],
      seccomp,
      nested_user_namespaces,
      distinct_host_uid,
      network,
      workspace,
    },
    limits: Object.fromEntries(facts),
    degraded: [],
  }
}
