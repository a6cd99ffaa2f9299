import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import type { Policy } from '../../../src/contract/policy.ts'
import type { SandboxMount, SandboxSpec } from '../../../src/ports/cell-driver.ts'

export const CANARY = 'canary-of-a-home'
export const TMP_BYTES = 4 * 1024 ** 2

export type SpecChange = Partial<Omit<SandboxSpec, 'policy' | 'mounts' | 'run_dir' | 'log_path' | 'hidden_paths'>> & {
  readonly policy?: Partial<Policy>
  /** How /workspace is mounted; default overlay. */
  readonly workspace?: 'overlay' | 'clone' | 'read_only' | 'none'
  readonly extra_mounts?: readonly SandboxMount[]
}

export interface Specs extends AsyncDisposable {
  make(change?: SpecChange): Promise<SandboxSpec>
}

const ENVIRONMENT = {
  PATH: '/usr/local/bin:/usr/bin:/bin',
  HOME: '/home/agent',
  USER: 'agent',
  LANG: 'C.UTF-8',
  TERM: 'dumb',
  TZ: 'UTC',
  LAZARUS_SOCKET: '/run/lazarus/cell.sock',
}

/** One seat on the host below `root` (a real file system, not overlay): layer, home, artifacts, brief, door, a home with a canary. */
export async function makeSpecs(root: string, policy: Policy): Promise<Specs> {
  const doors: Server[] = []
  const hidden = join(root, 'somebody-home')
  await mkdir(hidden, { recursive: true })
  await writeFile(join(hidden, 'secret'), CANARY)
  return {
    async make(change = {}) {
      const seat = join(root, randomUUID())
      const mounts = await layOut(seat, change)
      doors.push(await openDoor(join(seat, 'door', 'cell.sock')))
      const { policy: policyChange, workspace, extra_mounts, ...rest } = change
      return {
        name: { mission_id: randomUUID(), agent_id: 'builder', generation: 1 },
        command: null,
        environment: ENVIRONMENT,
        cwd: workspace === 'none' ? '/home/agent' : '/workspace',
        ...rest,
        policy: { ...policy, ...policyChange },
        mounts: [...mounts, ...(extra_mounts ?? [])],
        log_path: join(seat, 'logs', 'builder.log'),
        run_dir: join(seat, 'run'),
        hidden_paths: [hidden],
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(doors.map((door) => new Promise((done) => door.close(done))))
    },
  }
}

async function layOut(seat: string, change: SpecChange): Promise<SandboxMount[]> {
  for (const name of ['base/src', 'upper', 'work', 'home', 'artifacts', 'mission', 'door', 'logs']) {
    await mkdir(join(seat, name), { recursive: true })
  }
  await mkdir(join(seat, 'run'), { mode: 0o700 })
  await writeFile(join(seat, 'base', 'README'), 'of the base\n')
  await writeFile(join(seat, 'base', 'src', 'main.txt'), 'main\n')
  await writeFile(join(seat, 'mission', 'brief.md'), '# Brief\n')
  const bind = (target: string, name: string, read_only: boolean): SandboxMount => ({
    kind: 'bind',
    target,
    source: join(seat, name),
    read_only,
  })
  return [
    ...worktree(seat, change.workspace ?? 'overlay'),
    bind('/home/agent', 'home', false),
    bind('/artifacts', 'artifacts', false),
    bind('/mission', 'mission', true),
    bind('/run/lazarus', 'door', false),
    { kind: 'tmpfs', target: '/tmp', bytes: TMP_BYTES },
  ]
}

function worktree(seat: string, how: NonNullable<SpecChange['workspace']>): SandboxMount[] {
  const target = '/workspace'
  const lower = join(seat, 'base')
  switch (how) {
    case 'none':
      return []
    case 'overlay':
      return [{ kind: 'overlay', target, lower, upper: join(seat, 'upper'), work: join(seat, 'work') }]
    default:
      return [{ kind: 'bind', target, source: lower, read_only: how === 'read_only' }]
  }
}

/** A real server behind /run/lazarus/cell.sock; it greets and hangs up. */
function openDoor(path: string): Promise<Server> {
  const door = createServer((socket) => socket.end('door\n'))
  return new Promise((resolve, reject) => door.once('error', reject).listen(path, () => resolve(door)))
}
