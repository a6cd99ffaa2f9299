import { LazarusError } from '../kernel/errors.ts'
import { type RunResult, run } from './run.ts'

/** The systemd manager of this user. */
export interface UserManager {
  version(): Promise<number>
  reload(): Promise<void>
  enable(names: readonly string[]): Promise<void>
  /** Waits until they are up. */
  start(names: readonly string[]): Promise<void>
  /** Stops them too. */
  disable(names: readonly string[]): Promise<void>
  isActive(name: string): Promise<boolean>
  /** Whether it goes on without a login; null: nobody knows. */
  lingers(): Promise<boolean | null>
}

/** A pit may need minutes to adopt a thousand seats before it is ready. */
const TIMEOUT_MS = 660_000
const NAMES = ['PATH', 'HOME', 'USER', 'XDG_RUNTIME_DIR', 'XDG_CONFIG_HOME', 'DBUS_SESSION_BUS_ADDRESS']

export function userManager(env: Readonly<Record<string, string | undefined>>): UserManager {
  const environment = Object.fromEntries(NAMES.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])))
  const ask = (file: string, ...args: string[]) => run(file, args, { environment, timeout_ms: TIMEOUT_MS })
  const systemctl = (...args: string[]) => ask('systemctl', '--user', '--no-ask-password', ...args)
  const must = async (...args: string[]): Promise<RunResult> => {
    const result = await systemctl(...args)
    if (result.exit_code === 0) return result
    throw refused(args, result)
  }
  return {
    version: async () => versionOf(await must('show', '--property=Version', '--value')),
    reload: async () => void (await must('daemon-reload')),
    enable: async (names) => void (await must('enable', '--quiet', ...names)),
    start: async (names) => void (await must('start', ...names)),
    disable: async (names) => {
      await must('stop', ...names)
      await must('disable', '--quiet', ...names)
    },
    isActive: async (name) => (await systemctl('is-active', '--quiet', name)).exit_code === 0,
    lingers: async () => {
      const { exit_code, stdout } = await ask('loginctl', 'show-user', '--property=Linger', '--value')
      return exit_code === 0 ? stdout.toString().trim() === 'yes' : null
    },
  }
}

/** "257.8-1~deb13u2" → 257. */
const versionOf = ({ stdout }: RunResult): number => Number.parseInt(stdout.toString(), 10)

function refused(args: readonly string[], { stderr }: RunResult): LazarusError {
  const said = stderr.trim().split('\n').slice(0, 3).join(' ')
  if (/connect to .*bus|has not been booted|No medium found|XDG_RUNTIME_DIR/i.test(said)) {
    return new LazarusError('runtime_failed', `No systemd manager of this user answers: ${said}`, {
      remedy:
        'Log in as this user with a session of its own, or: sudo loginctl enable-linger "$USER". Without systemd start "lazarus serve" by any supervisor and "lazarus dead-man" by cron.',
    })
  }
  return new LazarusError('runtime_failed', `systemctl --user ${args.join(' ')} failed: ${said}`, {
    remedy: 'Look at: systemctl --user status lazarus-pit; journalctl --user --unit lazarus-pit',
  })
}
