import { spawn } from 'node:child_process'

export interface CommandOptions {
  readonly cwd?: string
  readonly environment?: Readonly<Record<string, string>>
  readonly stdin?: AsyncIterable<string>
  /** Milliseconds after which it is ended, with what it started; it has then failed. Default: never. */
  readonly timeout_ms?: number
}

export interface Timed {
  readonly stdout: string
  /** Milliseconds from the start of the process to the first byte on its stdout; NaN when none came. */
  readonly first_byte_ms: number
  readonly exit_ms: number
}

/** Runs a command to its end, timed as its caller sees it. Throws with the last words of its stderr when it fails. */
export function timed(file: string, args: readonly string[], options: CommandOptions = {}): Promise<Timed> {
  const { promise, resolve, reject } = Promise.withResolvers<Timed>()
  const stdout: Buffer[] = []
  let stderr = ''
  let first = Number.NaN
  const began = performance.now()
  const child = spawn(file, args, {
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    env: { ...process.env, ...options.environment },
    stdio: [options.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    detached: options.timeout_ms !== undefined, // a process group of its own
  })
  const hung = options.timeout_ms && setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), options.timeout_ms)
  child.stdout!.on('data', (data: Buffer) => {
    if (stdout.push(data) === 1) first = performance.now() - began
  })
  child.stderr!.on('data', (data: Buffer) => {
    stderr = (stderr + data).slice(-2000)
  })
  child.once('error', reject)
  let exit_ms = Number.NaN
  child.once('exit', () => {
    exit_ms = performance.now() - began
  })
  child.once('close', (code, signal) => {
    clearTimeout(hung)
    if (code === 0) resolve({ stdout: Buffer.concat(stdout).toString(), first_byte_ms: first, exit_ms })
    else
      reject(
        new Error(
          `${file} ${args.slice(0, 3).join(' ')} … ended with ${code ?? signal}: ${stderr.trim() || '(no stderr)'}`,
        ),
      )
  })
  if (options.stdin) feed(child.stdin!, options.stdin).catch(reject)
  return promise
}

/** What a command says on stdout. */
export async function output(file: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  return (await timed(file, args, options)).stdout.trim()
}

async function feed(stdin: NodeJS.WritableStream, chunks: AsyncIterable<string>): Promise<void> {
  for await (const chunk of chunks) {
    if (!stdin.write(chunk)) await new Promise((resolve) => stdin.once('drain', resolve))
  }
  stdin.end()
}
