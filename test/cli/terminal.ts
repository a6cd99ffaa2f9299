import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import type { Application } from '../../src/app/application.ts'
import { runCli } from '../../src/cli/program.ts'
import type { CliSettings, LocalPit } from '../../src/cli/settings.ts'
import { AT, type Stage } from '../http/stage.ts'
import { NO_LOCAL_PIT } from './no-local-pit.ts'

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Terminal {
  readonly state_dir?: string
  readonly cwd?: string
  readonly stdin?: string | Buffer
  readonly tty?: boolean
  readonly local?: Partial<LocalPit>
  readonly interrupted?: AbortSignal
  readonly token?: string
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Called with all of stdout so far. */
  readonly onOutput?: (text: string) => void
}

function memory(tty: boolean, onOutput: (text: string) => void = () => {}) {
  const chunks: Buffer[] = []
  const text = () => Buffer.concat(chunks).toString()
  const stream = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(Buffer.from(chunk))
      onOutput(text())
      done()
    },
  })
  return { stream: Object.assign(stream, { isTTY: tty, columns: 100 }), text }
}

/** One command line, in memory. Five minutes have passed since AT. */
export async function lazarus(argv: readonly string[], terminal: Terminal = {}): Promise<Ran> {
  const out = memory(terminal.tty ?? false, terminal.onOutput)
  const err = memory(terminal.tty ?? false)
  const settings: CliSettings = {
    version: '9.9.9',
    state_dir: terminal.state_dir ?? '/nonexistent/lazarus',
    socket: null,
    token: terminal.token ?? null,
    colour: true,
    environment: terminal.environment ?? process.env,
    uid: process.getuid!(),
    random: () => randomUUID(),
    local: { ...NO_LOCAL_PIT, ...terminal.local },
    interrupted: terminal.interrupted ?? new AbortController().signal,
  }
  const io = {
    stdin: Readable.from(terminal.stdin === undefined ? [] : [Buffer.from(terminal.stdin)]),
    stdout: out.stream,
    stderr: err.stream,
    cwd: terminal.cwd ?? tmpdir(),
    now: () => Date.parse(AT) + 300_000,
  }
  const code = await runCli(argv, io, settings)
  return { code, stdout: out.text(), stderr: err.text() }
}

/** The same against the pit of a stage. */
export const on = (stage: Stage, argv: readonly string[], terminal: Terminal = {}): Promise<Ran> =>
  lazarus(argv, { state_dir: stage.state_dir, ...terminal })

export type Recorded = readonly [name: string, ...args: unknown[]]

/** Writes down each call; abort signals and the caller are left out. */
export function recording(app: Application): { readonly app: Application; readonly calls: Recorded[] } {
  const calls: Recorded[] = []
  const plain = (value: unknown) =>
    !(value instanceof AbortSignal) && typeof value !== 'function' && !isPrincipal(value)
  const recorded = Object.fromEntries(
    Object.entries(app).map(([name, method]) => [
      name,
      (...args: unknown[]) => {
        calls.push([name, ...args.filter(plain)])
        return (method as (...args: unknown[]) => unknown)(...args)
      },
    ]),
  )
  return { app: recorded as unknown as Application, calls }
}

const isPrincipal = (value: unknown): boolean => typeof value === 'object' && value !== null && 'via' in value

/** A directory for one test. */
export async function scratch(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'lazarus-cli-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}
