import type { Command } from 'commander'
import { addVerb, type Run } from '../verb.ts'

const WORDS = {
  usage: 'serve',
  summary: 'run the pit until it is stopped; agents go on without it and are adopted again',
  examples: ['serve', 'serve --listen 127.0.0.1:0 --state-dir /srv/lazarus', 'serve --log-to-file &'],
  notes: 'Logs go to stderr as JSON lines. Stop it with Ctrl-C or SIGTERM.',
}

export function addServeVerb(program: Command, run: Run): void {
  addVerb<{ listen?: string; logToFile?: true }>(
    program,
    run,
    WORDS,
    async (session, _args, { listen, logToFile }) =>
      session.settings.local.serve({
        state_dir: session.state_dir,
        listen,
        log_to_file: logToFile ?? false,
        stop: session.interrupted,
        onListening: ({ socket, url }) => {
          const where = { socket, url }
          void session.print(
            { text: JSON.stringify(where), value: where },
            () => `The pit listens on ${socket} and ${url}\n`,
          )
        },
      }),
    (verb) =>
      verb
        .option('--listen <host:port>', 'TCP address; port 0 takes any free one')
        .option('--log-to-file', 'log to <state-dir>/daemon.log'),
  )
}
