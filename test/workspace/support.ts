import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, realpathSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Role } from '../../src/contract/ids.ts'
import type { BaseRef, WorkspaceMode } from '../../src/contract/mission.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { LazarusError } from '../../src/kernel/errors.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { runInHull } from '../../src/linux/hull.ts'
import type { HullMount } from '../../src/linux/mount-table.ts'
import { run } from '../../src/linux/run.ts'
import type { SandboxMount } from '../../src/ports/cell-driver.ts'
import type { CheckpointStore } from '../../src/ports/checkpoint-store.ts'
import type { SeatLayer, Workspace } from '../../src/ports/workspace.ts'
import type { WorkspaceDeps } from '../../src/workspace/workspace-deps.ts'
import { createWorktrees } from '../../src/workspace/worktrees.ts'

export const never = new AbortController().signal

export const GIT_ENVIRONMENT = {
  PATH: '/usr/bin:/bin',
  HOME: '/nonexistent',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'Ada',
  GIT_AUTHOR_EMAIL: 'ada@example.invalid',
  GIT_COMMITTER_NAME: 'Ada',
  GIT_COMMITTER_EMAIL: 'ada@example.invalid',
}

/** Plain git on the host, as a user would run it: for building origins, and for positive controls. */
export const hostGit = (cwd: string, ...args: string[]): string =>
  execFileSync('git', args, {
    cwd,
    env: GIT_ENVIRONMENT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  }).trim()

export function writeTree(directory: string, files: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), content)
  }
}

/** A git repository with one commit on main; answers its path. */
export function makeOrigin(path: string, files: Readonly<Record<string, string>> = { 'README.md': 'hello\n' }): string {
  mkdirSync(path, { recursive: true })
  hostGit(path, 'init', '-q', '-b', 'main')
  writeTree(path, files)
  hostGit(path, 'add', '-A')
  hostGit(path, 'commit', '-q', '--allow-empty', '-m', 'first')
  return path
}

export const commitFile = (repository: string, name: string, content: string): string => {
  writeTree(repository, { [name]: content })
  hostGit(repository, 'add', '-A')
  hostGit(repository, 'commit', '-q', '-m', `change ${name}`)
  return hostGit(repository, 'rev-parse', 'HEAD')
}

export class ManualClock implements Clock {
  time = 1_700_000_000_000
  now = () => this.time
  monotonic = () => this.time
}

/** A directory of its own on a real file system, with homes, state and missions in it; disposed without a trace. */
export class TestBed implements AsyncDisposable {
  readonly root = realpathSync(mkdtempSync(join(tmpdir(), 'lazarus-workspace-')))
  readonly state = join(this.root, 'state')
  readonly missions = join(this.root, 'missions')
  readonly home = join(this.root, 'homes', 'ada')
  readonly clock = new ManualClock()
  readonly workspace: Workspace
  readonly checkpoints: CheckpointStore

  constructor(overrides: Partial<WorkspaceDeps> = {}) {
    for (const path of [this.state, this.missions, this.home]) mkdirSync(path, { recursive: true, mode: 0o700 })
    const { workspace, checkpoints } = this.worktrees(overrides)
    this.workspace = workspace
    this.checkpoints = checkpoints
  }

  another(overrides: Partial<WorkspaceDeps> = {}): Workspace {
    return this.worktrees(overrides).workspace
  }

  worktrees(overrides: Partial<WorkspaceDeps> = {}) {
    return createWorktrees({
      stateDir: this.state,
      missionsPath: this.missions,
      refuseHome: async (path) => this.#refuseHome(path),
      clock: this.clock,
      log: silentLog,
      retention: { trash_days: 7, trash_bytes: 1024 ** 3 },
      ...overrides,
    })
  }

  path(...names: string[]): string {
    return join(this.root, ...names)
  }

  /** The rule of the port, over the one home of this bed. */
  #refuseHome(path: string): void {
    let real = path
    try {
      real = realpathSync(path)
    } catch {
      // What does not exist is nobody's home.
    }
    const within = (a: string, b: string) => a === b || a.startsWith(`${b}/`)
    if (within(real, this.home) || within(this.home, real))
      throw new LazarusError('home_mount_refused', `${path} is in a home`)
  }

  /** A mission on a repository with one seat in it. */
  async seat(
    repo: string | null,
    options: { ref?: string; agent_id?: string; role?: Role; mode?: WorkspaceMode } = {},
  ): Promise<TestSeat> {
    const base = await this.workspace.resolve(repo, options.ref ?? null, never)
    const mission_id = randomUUID()
    await this.workspace.openMission(mission_id, base)
    return this.seatIn(mission_id, base, options)
  }

  async seatIn(
    mission_id: string,
    base: BaseRef,
    options: { agent_id?: string; role?: Role; mode?: WorkspaceMode } = {},
  ): Promise<TestSeat> {
    const seat = { mission_id, agent_id: options.agent_id ?? 'builder' }
    const layer: SeatLayer = { seat, role: options.role ?? 'write', base, mode: options.mode ?? 'overlay' }
    return new TestSeat(this, layer, await this.workspace.openSeat(layer))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // As root of a user namespace: overlay leaves directories of mode 000.
    await run('unshare', ['-Ur', 'rm', '-rf', '--', this.root], { environment: { PATH: '/usr/bin:/bin' } })
  }
}

export class TestSeat {
  readonly bed: TestBed
  readonly layer: SeatLayer
  readonly mounts: readonly SandboxMount[]

  constructor(bed: TestBed, layer: SeatLayer, mounts: readonly SandboxMount[]) {
    this.bed = bed
    this.layer = layer
    this.mounts = mounts
  }

  get directory(): string {
    return join(this.bed.missions, this.layer.seat.mission_id, 'worktree', this.layer.seat.agent_id)
  }
  get trusted(): string {
    return join(this.bed.missions, this.layer.seat.mission_id, 'repository.git')
  }

  /** Runs a shell script where the agent would: same mounts, in a hull. Answers stdout; throws on a failure. */
  async sh(script: string): Promise<string> {
    const done = await this.try(script)
    if (done.exit_code !== 0) throw new Error(`exit ${done.exit_code}: ${done.stderr}\n${done.stdout}`)
    return done.stdout.toString('utf8').trim()
  }

  async try(script: string) {
    const runDir = this.bed.path('run', randomUUID())
    mkdirSync(runDir, { recursive: true, mode: 0o700 })
    return runInHull(
      {
        run_dir: runDir,
        mounts: [...ROOT, ...this.mounts.map(asHullMount)],
        symlinks: { '/bin': 'usr/bin', '/lib': 'usr/lib', '/lib64': 'usr/lib64' },
        network: 'own',
        rlimits: {},
        command: ['/bin/sh', '-c', `set -e\ncd /workspace 2>/dev/null || cd /home/agent\n${script}`],
        environment: { HOME: '/home/agent', LC_ALL: 'C.UTF-8' },
      },
      { timeout_ms: 60_000 },
    )
  }
}

const ROOT: readonly HullMount[] = [
  { kind: 'bind', source: '/usr', target: '/usr', read_only: true },
  { kind: 'proc', target: '/proc' },
  { kind: 'device', target: '/dev/null' },
  { kind: 'device', target: '/dev/urandom' },
  { kind: 'tmpfs', target: '/tmp', options: 'size=64m' },
]

function asHullMount(mount: SandboxMount): HullMount {
  switch (mount.kind) {
    case 'overlay':
      return { kind: 'overlay', target: mount.target, lowers: [mount.lower], upper: mount.upper, work: mount.work }
    case 'bind':
      return mount
    case 'tmpfs':
      return { kind: 'tmpfs', target: mount.target, options: `size=${mount.bytes}` }
  }
}
