import { randomUUID } from 'node:crypto'
import { runCli } from '../cli/program.ts'
import type { LocalPit } from '../cli/settings.ts'
import { VERSION } from './version.ts'

const { env, stdin, stdout, stderr } = process

const exit = (code: number): never => process.exit(code)

/** Everything behind these imports is heavy, and most verbs only talk to a pit. */
const pit = async () =>
  (await import('./local-pit.ts')).createLocalPit(env, { uid: process.getuid?.() ?? -1, pid: process.pid, exit })
const operator = async () => (await import('./local-operator.ts')).createLocalOperator(env, process.getuid?.() ?? -1)

const local: LocalPit = {
  serve: async (request) => (await pit()).serve(request),
  doctor: async (directory) => (await pit()).doctor(directory),
  start: async (directory) => (await pit()).start(directory),
  createConfig: async (directory, force) => (await operator()).createConfig(directory, force),
  lifeSigns: async (directory) => (await operator()).lifeSigns(directory),
  deadMan: async (directory) => (await operator()).deadMan(directory),
  service: {
    install: async (directory, start) => (await operator()).service.install(directory, start),
    uninstall: async () => (await operator()).service.uninstall(),
    print: async (directory) => (await operator()).service.print(directory),
  },
}

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
      local,
      interrupted: onInterrupt(),
    },
  )
}

/** Who ends a process often signals it more than once: as a service and as a member of its scope, for example. */
const ONE_REQUEST_MS = 500

/** The first signal asks the verb to end what it began, a second request ends this process. */
function onInterrupt(): AbortSignal {
  const interrupt = new AbortController()
  let asked = Number.POSITIVE_INFINITY
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (performance.now() - asked > ONE_REQUEST_MS) process.exit(130)
      asked = Math.min(asked, performance.now())
      interrupt.abort()
    })
  }
  return interrupt.signal
}
