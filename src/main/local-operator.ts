import type { LocalPit } from '../cli/settings.ts'
import { outerUid } from '../linux/user-namespaces.ts'
import { lookAtPit } from './dead-man.ts'
import { readLifeSigns } from './life-signs.ts'
import { readSettings, writeDefaults } from './settings.ts'
import { installService, printUnits, uninstallService } from './user-service.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** What the command of an alert gets of this environment, so that it can reach a mailer or a desktop. */
const ALERT_NAMES = ['PATH', 'HOME', 'USER', 'LANG', 'XDG_RUNTIME_DIR', 'DBUS_SESSION_BUS_ADDRESS']

/** What the CLI does for the operator beside a pit: nothing here loads a server, a driver or the ledger. */
export function createLocalOperator(env: Environment, uid: number): Omit<LocalPit, 'serve' | 'doctor' | 'start'> {
  const pick = (names: readonly string[]) =>
    Object.fromEntries(names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])))
  return {
    createConfig: (state_dir, force) => writeDefaults(env, state_dir, force),
    lifeSigns: async (state_dir) => readLifeSigns(state_dir),
    deadMan: async (state_dir) => {
      const settings = readSettings(env, { stateDir: state_dir })
      const { command, webhook, file } = settings.config.dead_man
      return lookAtPit(settings, { command, webhook, file, environment: pick(ALERT_NAMES) })
    },
    service: {
      install: (state_dir, start) => installService(env, outerUid(uid), state_dir, start),
      uninstall: () => uninstallService(env, outerUid(uid)),
      print: (state_dir) => printUnits(env, state_dir),
    },
  }
}
