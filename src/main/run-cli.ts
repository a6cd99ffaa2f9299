import { randomUUID } from 'node:crypto'
import { runCli } from '../cli/program.ts'
import type { LocalPit } from '../cli/settings.ts'
import { VERSION } from './version.ts'

const { env, stdin, stdout, stderr } = process

/** Everything behind this import is heavy, and most verbs only talk to a pit. */
const local = async (): Promise<LocalPit> =>
  (await import('./local-pit.ts')).createLocalPit(env, process.getuid?.() ?? -1, process.pid)

/** The CLI on this process: its streams, its environment, its signals. Resolves to the exit code. */
export function runOnProcess(state_dir: string): Promise<number> {
  // The reader of a pipe has seen enough.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  return runCli(
    process.argv.slice(2),
    { stdin, stdout, stderr, cwd: env.LAZARUS_UNREACHABLE_CWD ?? process.cwd(), now: () => Date.now() },
    {
      version: VERSION,
      state_dir,
      socket: env.LAZARUS_SOCKET ?? null,
      token: env.LAZARUS_TOKEN ?? null,
      colour: !env.NO_COLOR && env.TERM !== 'dumb',
      environment: env,
      uid: process.getuid?.() ?? -1,
      random: () => randomUUID(),
      local: {
        serve: async (request) => (await local()).serve(request),
        doctor: async (directory) => (await local()).doctor(directory),
        start: async (directory) => (await local()).start(directory),
      },
      interrupted: onInterrupt(),
    },
  )
}

/** The first signal asks the verb to end what it began, the second one ends this process. */
function onInterrupt(): AbortSignal {
  const interrupt = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (interrupt.signal.aborted) process.exit(130)
      interrupt.abort()
    })
  }
  return interrupt.signal
}
