import type { DeadManAlert } from '../contract/dead-man.ts'
import { LazarusError } from '../kernel/errors.ts'
import { run } from '../linux/run.ts'

const TIMEOUT_MS = 30_000

/** Runs the operator's own program, without a shell: the alert is on its stdin as JSON and in its environment. */
export async function runCommand(
  [file = '', ...args]: readonly string[],
  environment: Readonly<Record<string, string>>,
  alert: DeadManAlert,
  patience_ms = TIMEOUT_MS,
): Promise<void> {
  const { exit_code, signal, ended, stderr } = await run(file, args, {
    environment: { ...environment, ...alertEnvironment(alert) },
    stdin: Buffer.from(`${JSON.stringify(alert)}\n`),
    on_stdout: () => {},
    timeout_ms: patience_ms,
  })
  if (exit_code === 0) return
  const how = ended === 'exit' ? `ended with ${signal ?? `exit code ${exit_code}`}` : `was ended: ${ended}`
  throw new LazarusError('runtime_failed', `${file} ${how}: ${stderr.trim().slice(0, 500) || 'it said nothing'}`)
}

/** `LAZARUS_ALERT_EVENT`, `LAZARUS_ALERT_OUTAGE_ID`, … one for each field. */
export const alertEnvironment = (alert: DeadManAlert): Record<string, string> =>
  Object.fromEntries(
    Object.entries(alert).map(([name, value]) => [`LAZARUS_ALERT_${name.toUpperCase()}`, String(value ?? '')]),
  )
