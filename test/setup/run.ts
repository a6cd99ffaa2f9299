import { spawn } from 'node:child_process'
import { join } from 'node:path'

export const ROOT = join(import.meta.dirname, '../..')

export interface Outcome {
  readonly pid: number | undefined
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a script of the checkout, and lets `during` talk to the child. */
export function run(
  script: string,
  args: readonly string[],
  options: { input?: string; cwd?: string; during?: (child: ReturnType<typeof spawn>) => void } = {},
): Promise<Outcome> {
  const child = spawn(join(ROOT, script), args, { cwd: options.cwd ?? ROOT, stdio: 'pipe' })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  // A script that ends without reading is no error: its exit code tells.
  child.stdin.on('error', () => {}).end(options.input ?? '')
  options.during?.(child)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ pid: child.pid, code, signal, stdout, stderr }))
  })
}
