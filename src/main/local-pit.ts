import type { LocalPit, ServeRequest } from '../cli/settings.ts'
import { silentLog } from '../kernel/log.ts'
import { outerUid } from '../linux/user-namespaces.ts'
import { compose } from './compose.ts'
import { probeHost } from './host.ts'
import { serve } from './serve.ts'
import { readSettings } from './settings.ts'

type Environment = Readonly<Record<string, string | undefined>>

interface Process {
  readonly uid: number
  readonly pid: number
  readonly exit: (code: number) => void
}

/** What the CLI does as a pit, or in the place of one. The only module behind which fastify, dockerode and SQLite are loaded. */
export function createLocalPit(
  env: Environment,
  { uid, pid, exit }: Process,
): Pick<LocalPit, 'serve' | 'doctor' | 'start'> {
  return {
    serve: ({ state_dir, listen, log_to_file, stop, onListening }: ServeRequest) =>
      serve({
        settings: readSettings(env, { stateDir: state_dir, listen }),
        foreground: !log_to_file,
        uid: outerUid(uid),
        pid,
        invitation: { socket: env.NOTIFY_SOCKET, watchdog_usec: env.WATCHDOG_USEC, watchdog_pid: env.WATCHDOG_PID },
        stop,
        exit,
        onListening: ({ listening }) => onListening(listening),
      }),
    doctor: (state_dir) => probeHost(readSettings(env, { stateDir: state_dir })),
    start: async (state_dir) => {
      const pit = await compose(readSettings(env, { stateDir: state_dir, listen: '127.0.0.1:0' }), silentLog)
      return { socket: pit.listening.socket, close: async () => pit[Symbol.asyncDispose]() }
    },
  }
}
