import type { Command } from 'commander'
import type { Session } from '../session.ts'
import { addVerb, type Run } from '../verb.ts'
import { showStatus } from './status.ts'

const WORDS = {
  usage: 'serve',
  summary: 'run the pit until it is stopped; agents go on without it and are adopted again',
  examples: [
    'serve',
    'serve --listen 127.0.0.1:0 --state-dir /srv/lazarus',
    'serve --log-to-file &',
    'serve --create-config',
    'serve --status',
  ],
  notes:
    'Logs go to stderr as JSON lines. Stop it with Ctrl-C or SIGTERM; to run it by systemd: lazarus service install',
}

interface ServeOptions {
  listen?: string
  logToFile?: true
  createConfig?: true
  force?: true
  status?: true
}

export function addServeVerb(program: Command, run: Run): void {
  addVerb<ServeOptions>(program, run, WORDS, serve, (verb) =>
    verb
      .option('--listen <host:port>', 'TCP address; port 0 takes any free one')
      .option('--log-to-file', 'log to <state-dir>/daemon.log')
      .option('--create-config', 'only write a configuration with the defaults, where there is none')
      .option('--force', 'with --create-config: replace the one that is there')
      .option('--status', 'only show the running pit, like lazarus status'),
  )
}

async function serve(session: Session, _args: readonly string[], options: ServeOptions): Promise<number> {
  if (options.status) return showStatus(session)
  if (options.createConfig) return createConfig(session, options.force ?? false)
  return session.settings.local.serve({
    state_dir: session.state_dir,
    listen: options.listen,
    log_to_file: options.logToFile ?? false,
    stop: session.interrupted,
    onListening: ({ socket, url }) => {
      const value = { socket, url }
      void session.print({ text: JSON.stringify(value), value }, () => `The pit listens on ${socket} and ${url}\n`)
    },
  })
}

async function createConfig(session: Session, force: boolean): Promise<number> {
  const value = await session.settings.local.createConfig(session.state_dir, force)
  await session.print(
    { text: JSON.stringify(value), value },
    ({ path, replaced }) =>
      `${replaced ? 'Replaced' : 'Wrote'} ${path} with the defaults; docs/operations.md explains every key.\n`,
  )
  return 0
}
