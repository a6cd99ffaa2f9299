import { readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LazarusError } from '../../kernel/errors.ts'
import { run } from '../../linux/run.ts'
import type { SandboxSpec } from '../../ports/cell-driver.ts'
import type { ProcessId } from '../shared/records.ts'

/** What Podman does not tell, or has forgotten: kept in the run directory. */
interface SandboxRecord {
  readonly overlay_work: string | null
  /** conmon: without it nobody takes the output of the container, nor the word of its end. null before the start. */
  readonly monitor: ProcessId | null
}

const pathOf = (runDir: string, generation: number) => join(runDir, `podman-g${generation}.json`)

export const overlayWorkOf = (spec: SandboxSpec): string | null =>
  spec.mounts.find((mount) => mount.kind === 'overlay')?.work ?? null

export function writeRecord(spec: SandboxSpec, monitor: ProcessId | null): void {
  const record: SandboxRecord = { overlay_work: overlayWorkOf(spec), monitor }
  writeFileSync(pathOf(spec.run_dir, spec.name.generation), JSON.stringify(record), { mode: 0o600 })
}

export const monitorIn = (runDir: string, generation: number): ProcessId | null =>
  read(pathOf(runDir, generation))?.monitor ?? null

/**
 * Tidies the overlay's work directory and forgets the sandbox. Repeatable: the record goes last. Another generation
 * may have the layer mounted already; then the scratch is its own, and goes with it.
 */
export async function clearRecord(
  runDir: string,
  generation: number,
  isMounted: (work: string) => Promise<boolean>,
): Promise<void> {
  const path = pathOf(runDir, generation)
  const work = read(path)?.overlay_work
  if (work && !(await isMounted(work))) await clearWork(join(work, 'work'))
  rmSync(path, { force: true })
}

/**
 * The overlay is mounted by the container's root, a subordinate id, so its kernel scratch (never the agent's data) is
 * closed to the operator. Empty, it can be removed all the same; a whiteout that was left there needs that id.
 */
async function clearWork(scratch: string): Promise<void> {
  const code = tryRemove(scratch)
  if (code === null || code === 'ENOENT') return
  const args = ['--user', '--map-root-user', '--map-auto', '--', 'rm', '-rf', '--', scratch]
  const result = await run('unshare', args, {
    environment: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    timeout_ms: 10_000,
  })
  if (result.exit_code === 0) return
  throw new LazarusError(
    'runtime_failed',
    `The scratch of the overlay ${scratch} could not be removed: ${result.stderr.trim()}`,
    {
      remedy: 'It needs unshare --map-auto of util-linux 2.38 or newer, and the subordinate ids of the operator.',
    },
  )
}

function tryRemove(directory: string): string | null {
  try {
    rmdirSync(directory)
    return null
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'UNKNOWN'
  }
}

function read(path: string): SandboxRecord | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as SandboxRecord
  } catch {
    return null
  }
}
