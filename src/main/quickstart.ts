import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Client } from '../cli/client.ts'
import { asLazarusError, isLazarusError } from '../kernel/errors.ts'
import type { Call } from './quickstart-deps.ts'
import { quickstart } from './quickstart-job.ts'
import { stateDirOf } from './state-dir.ts'

const stateDir = stateDirOf(process.env)
const once = process.argv.includes('--once')
const say = (line: string) => process.stdout.write(`${line}\n`)

/** The pit that already runs, or one that is started here and goes on unless `--once` was given. */
async function openPit(): Promise<{ client: Client; close(): void }> {
  const client = new Client({ kind: 'socket', path: join(stateDir, 'api.sock') })
  try {
    await client.text('GET', '/healthz')
    return { client, close: () => {} }
  } catch (error) {
    if (!isLazarusError(error) || error.code !== 'pit_not_running') throw error
  }
  const pit = spawn(
    process.execPath,
    ['--max-semi-space-size=4', join(import.meta.dirname, 'cli.ts'), 'serve', '--log-to-file', '--json'],
    {
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  for await (const line of createInterface({ input: pit.stdout })) {
    say(`The pit listens on ${JSON.parse(line).url}`)
    pit.stdout.destroy()
    pit.unref()
    return { client, close: () => once && pit.kill('SIGTERM') }
  }
  throw new Error('the pit did not start')
}

const { client, close } = await openPit()
const call: Call = async <T>(method: string, path: string, body?: unknown): Promise<T> =>
  JSON.parse(await client.text(method as 'GET', path, body === undefined ? {} : { body })) as T
async function* follow(path: string, signal: AbortSignal): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  for await (const chunk of await client.stream('GET', path, { signal })) yield decoder.decode(chunk, { stream: true })
}
try {
  const monotonic = () => performance.now()
  const failures = await quickstart({ call, follow, print: say, monotonic, scratchDir: stateDir })
  if (!once)
    say(
      `\nThe pit goes on. Try next:\n  bin/lazarus doctor\n  bin/lazarus run -- git log --oneline\n  bin/lazarus incidents`,
    )
  process.exitCode = failures > 0 ? 1 : 0
} catch (error) {
  const { message, remedy } = asLazarusError(error)
  process.stderr.write(`${message}\nremedy: ${remedy}\n`)
  process.exitCode = 1
} finally {
  close()
}
