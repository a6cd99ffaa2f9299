import { constants, existsSync, readFileSync, realpathSync } from 'node:fs'
import { access, mkdir, rm } from 'node:fs/promises'
import { extname, join, resolve } from 'node:path'
import type { InstalledService, UninstalledService } from '../contract/service.ts'
import { LOOKS_WITHIN_BOUND } from '../domain/dead-man.ts'
import { LazarusError } from '../kernel/errors.ts'
import { isStartable, UNIT_NAMES, type UnitFacts, type UnitName, units } from '../linux/systemd-units.ts'
import { type UserManager, userManager } from '../linux/user-manager.ts'
import { writeAtomic } from '../store/atomic-file.ts'
import { readLifeSigns } from './life-signs.ts'
import { readSettings, type Settings } from './settings.ts'

type Environment = Readonly<Record<string, string | undefined>>

const PIT = 'lazarus-pit.service'
const TIMER = 'lazarus-dead-man.timer'

/** What the pit reads of its environment, and a service manager does not hand on. */
const KEPT = [
  ...['LAZARUS_STATE_DIR', 'LAZARUS_MISSIONS_PATH', 'LAZARUS_CONFIG', 'LAZARUS_LISTEN', 'DOCKER_HOST'],
  ...['XDG_STATE_HOME', 'XDG_DATA_HOME', 'XDG_CONFIG_HOME'],
  ...['http_proxy', 'https_proxy', 'no_proxy', 'HTTPS_PROXY', 'NO_PROXY'],
  ...['SSL_CERT_FILE', 'SSL_CERT_DIR', 'GIT_SSL_CAINFO'],
]

/** Units as they are installed for this login, or would be. Without a user manager, as the newest one would get them. */
export async function printUnits(env: Environment, stateDir: string): Promise<Readonly<Record<UnitName, string>>> {
  const manager = userManager(env)
  return units(factsOf(env, stateDir, (await manager.version().catch(() => null)) ?? Number.MAX_SAFE_INTEGER))
}

/** Writes, enables and starts; what is so already stays so. */
export async function installService(
  env: Environment,
  uid: number,
  stateDir: string,
  start: boolean,
): Promise<InstalledService> {
  const manager = ownManager(env, uid)
  const version = await manager.version()
  const settings = readSettings(env, { stateDir })
  const ran = await manager.isActive(PIT)
  if (start && !ran) requireNoOtherPit(settings)
  const directory = unitDirectory(env)
  await makeDirectory(directory)
  const wanted = Object.entries(units(factsOf(env, stateDir, version)))
  const done: InstalledService['units'] = []
  for (const [name, text] of wanted) done.push({ name, action: await put(join(directory, name), text) })
  if (done.some(({ action }) => action !== 'unchanged')) await manager.reload()
  await manager.enable([PIT, TIMER])
  if (start) await manager.start([PIT, TIMER])
  const running = await manager.isActive(PIT)
  return { directory, units: done, started: start, running, notes: await notesOf(manager, done, ran) }
}

/** Stops the pit cleanly and removes what was installed; agents go on. */
export async function uninstallService(env: Environment, uid: number): Promise<UninstalledService> {
  const manager = ownManager(env, uid)
  await manager.version()
  const directory = unitDirectory(env)
  const present = UNIT_NAMES.filter((name) => existsSync(join(directory, name)))
  if (present.includes(TIMER)) await manager.disable([TIMER])
  if (present.includes(PIT)) await manager.disable([PIT])
  for (const name of present) await rm(join(directory, name), { force: true })
  if (present.length > 0) await manager.reload()
  return {
    directory,
    units: UNIT_NAMES.map((name) => ({ name, action: present.includes(name) ? 'removed' : 'absent' })),
  }
}

function factsOf(env: Environment, stateDir: string, systemd_version: number): UnitFacts {
  const { packageDir, config } = readSettings(env, { stateDir })
  if (packageDir.startsWith('/run/') || !isStartable(packageDir)) {
    throw new LazarusError('invalid_request', `systemd cannot start programs from ${packageDir}`, {
      remedy:
        'Move the checkout to where its operator can read it (for example /srv/lazarus-pit), and install from there.',
    })
  }
  const stable = join(packageDir, '.tools', 'bin', 'node')
  const kept = KEPT.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]] as const]))
  return {
    node: existsSync(stable) && realpathSync(stable) === process.execPath ? stable : process.execPath,
    cli: join(import.meta.dirname, `cli${extname(import.meta.filename)}`),
    as_operator: join(packageDir, 'bin', 'as-operator'),
    documentation: join(packageDir, 'docs', 'operations.md'),
    environment: { ...Object.fromEntries(kept), LAZARUS_STATE_DIR: stateDir },
    systemd_version,
    dead_man_every_s: Math.max(1, Math.floor(config.dead_man.after / LOOKS_WITHIN_BOUND)),
  }
}

function ownManager(env: Environment, uid: number): UserManager {
  if (uid === 0) {
    throw new LazarusError('forbidden', 'The pit does not run as root, and neither does its service', {
      remedy: 'As its operator: bin/as-operator bin/lazarus service install',
    })
  }
  return userManager(env)
}

/** Two pits on one state directory: the second one would refuse, again and again. */
function requireNoOtherPit({ stateDir }: Settings): void {
  const { pit, alive } = readLifeSigns(stateDir)
  if (pit === null || !alive) return
  throw new LazarusError('pit_already_running', `A pit that systemd did not start runs already: process ${pit.pid}`, {
    remedy: `Stop it first (its agents go on): kill ${pit.pid}`,
    details: { pid: pit.pid },
  })
}

async function put(path: string, text: string): Promise<InstalledService['units'][number]['action']> {
  const before = existsSync(path) ? readFileSync(path, 'utf8') : null
  if (before === text) return 'unchanged'
  await writeAtomic(path, text, { durable: true })
  return before === null ? 'written' : 'replaced'
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
    await access(path, constants.W_OK)
  } catch (cause) {
    throw new LazarusError('invalid_request', `Units cannot be written to ${path}: ${(cause as Error).message}`, {
      cause,
      remedy: 'Let this user write there, or set XDG_CONFIG_HOME as its manager has it.',
    })
  }
}

const unitDirectory = (env: Environment): string =>
  resolve(env.XDG_CONFIG_HOME ?? join(env.HOME ?? '/', '.config'), 'systemd', 'user')

async function notesOf(manager: UserManager, done: InstalledService['units'], ran: boolean): Promise<string[]> {
  const linger = await manager.lingers()
  return [
    ...(linger === false ? ['It ends with your last login; to keep it: sudo loginctl enable-linger "$USER"'] : []),
    ...(ran && done.some(({ action }) => action === 'replaced')
      ? [`The units changed; the pit that runs takes them over with: systemctl --user restart ${PIT}`]
      : []),
  ]
}
