import { LazarusError } from '../kernel/errors.ts'
import { type RunResult, run } from '../linux/run.ts'

const rm = (path: string): string[] => ['rm', '--recursive', '--force', '--one-file-system', '--', path]

/** What a cell made unreadable for its owner is no obstacle to root of a user namespace that has only this owner. */
const rmAsNamespaceRoot = (path: string): string[] => ['unshare', '--user', '--map-root-user', '--', ...rm(path)]

const runTool = ([file, ...args]: string[]): Promise<RunResult> =>
  run(file!, args, { environment: { PATH: '/usr/bin:/bin', LC_ALL: 'C' } })

/**
 * Deletes a tree in which a cell wrote, or still writes; one that is gone is fine. GNU rm goes down by directory
 * descriptors (openat with O_NOFOLLOW, unlinkat), so that a directory that becomes a symlink under it leads nowhere,
 * and no depth is too deep; Node's own rm goes by path and can do neither.
 */
export async function removeTree(path: string): Promise<void> {
  if ((await runTool(rm(path))).exit_code === 0) return
  const result = await runTool(rmAsNamespaceRoot(path))
  if (result.exit_code === 0) return
  throw new LazarusError('runtime_failed', `${path} could not be removed: ${result.stderr.trim().split('\n').at(-1)}`, {
    remedy: 'Look at what lies there, then repeat; removing goes on where it stopped.',
    details: { path },
  })
}
