import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { ownCgroup } from '../../src/linux/cgroup.ts'
import { ROOT } from './source-tree.ts'

const SYSTEMD = '/usr/lib/systemd/systemd'
const UNSHARE = ['--user', '--mount', '--map-current-user', '--keep-caps', '--propagation', 'private']

/** A user manager starts only where the system was booted by systemd: in a mount namespace of its own it was. */
const BOOTED = `
echo $$ >"$1/cgroup.procs"
mount -t tmpfs none /run/systemd
mkdir /run/systemd/system
exec setpriv --ambient-caps=-all --inh-caps=-all --bounding-set=-all -- ${SYSTEMD} --user --log-target=console`

const cgroupHere = (): string =>
  join('/sys/fs/cgroup', ownCgroup(readFileSync('/proc/self/cgroup', 'utf8')) ?? '/nonexistent')

/** The checkout lies where only we see it (bin/as-operator): systemd starts nothing from there. */
export const CHECKOUT_IS_PRIVATE = ROOT.startsWith('/run/lazarus-checkout')

/** systemd is installed and may see the checkout, and this user may make a cgroup and the namespaces. */
export function userManagerPossible(): boolean {
  if (CHECKOUT_IS_PRIVATE) return false
  try {
    for (const path of [SYSTEMD, '/run/systemd', '/usr/bin/systemctl']) accessSync(path)
    accessSync('/sys/fs/cgroup/cgroup.controllers')
    accessSync(join(cgroupHere(), 'cgroup.procs'), constants.W_OK)
    execFileSync('unshare', [...UNSHARE, 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/**
 * A real systemd manager of this user, with a home, a runtime directory and a cgroup of its own. It would take every
 * process of the cgroup that it starts in, so it never starts in ours.
 */
export class PrivateUserManager implements AsyncDisposable {
  readonly dir: string
  readonly environment: Record<string, string>
  readonly #cgroup: string
  readonly #systemd: ChildProcess

  private constructor(dir: string, environment: Record<string, string>, cgroup: string, systemd: ChildProcess) {
    this.dir = dir
    this.environment = environment
    this.#cgroup = cgroup
    this.#systemd = systemd
  }

  static async start(): Promise<PrivateUserManager> {
    const dir = await mkdtemp('/var/tmp/umgr-')
    const cgroup = join(cgroupHere(), basename(dir))
    mkdirSync(cgroup)
    const runtime = join(dir, 'run')
    mkdirSync(runtime, { mode: 0o700 })
    const environment = {
      PATH: process.env.PATH ?? '/usr/bin:/bin',
      HOME: dir,
      USER: 'operator',
      XDG_RUNTIME_DIR: runtime,
    }
    const systemd = spawn('unshare', [...UNSHARE, 'bash', '-euc', BOOTED, 'bash', cgroup], {
      env: environment,
      stdio: 'ignore',
    })
    while (!existsSync(join(runtime, 'systemd', 'private'))) {
      if (systemd.exitCode !== null) throw new Error('the user manager did not start')
      await pause(20)
    }
    return new PrivateUserManager(dir, environment, cgroup, systemd)
  }

  /** As when the host goes down: every unit is stopped, then the manager ends. */
  async shutDown(): Promise<void> {
    if (this.#systemd.exitCode !== null || this.#systemd.signalCode !== null) return
    const ended = once(this.#systemd, 'exit')
    this.#systemd.kill('SIGTERM')
    await ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutDown()
    removeCgroup(this.#cgroup)
    // systemd keeps places there that nobody may open.
    execFileSync('chmod', ['--recursive', 'u+rwX', this.dir])
    rmSync(this.dir, { recursive: true, force: true })
  }
}

function removeCgroup(cgroup: string): void {
  for (const entry of readdirSync(cgroup, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroup(join(cgroup, entry.name))
  }
  rmdirSync(cgroup)
}
