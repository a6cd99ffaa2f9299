import { join } from 'node:path'
import { output, timed } from '../command.ts'
import type { Contender } from '../contest.ts'
import type { Peers } from './peers.ts'

const runArgs = ({ image, label }: Peers, mount: readonly string[]): string[] => [
  'run',
  '--rm',
  '--network',
  'none',
  '--label',
  label,
  '--entrypoint',
  '',
  ...mount,
  image,
  'echo',
  'ready',
]

/** `podman run` alone: no worktree, nothing of the repository inside. */
export const podmanRun = (peers: Peers): Contender => ({
  name: 'podman run',
  sample: async () => {
    const { first_byte_ms, exit_ms } = await timed('podman', runArgs(peers, []))
    return { 'podman run': exit_ms, 'podman run, first byte': first_byte_ms }
  },
})

export const WORKTREE = 'git worktree add + podman run'

/**
 * What one does by hand for an agent: a worktree of its own, and a container that sees it. The worktrees stay until the
 * bench removes `dir`: for minutes after 6,000 files were deleted, ext4 is slow in creating any, also for the others.
 */
export function worktreeAndPodman(peers: Peers, repository: string, dir: string): Contender {
  let count = 0
  return {
    name: WORKTREE,
    every: 3,
    sample: async () => {
      const worktree = join(dir, `worktree-${++count}`)
      const added = await timed('git', [
        '-C',
        repository,
        'worktree',
        'add',
        '--quiet',
        '-b',
        `seat-${count}`,
        worktree,
      ])
      const started = await timed('podman', runArgs(peers, ['--volume', `${worktree}:/workspace`]))
      return {
        [WORKTREE]: added.exit_ms + started.exit_ms,
        [`${WORKTREE}, first byte`]: added.exit_ms + started.first_byte_ms,
      }
    },
  }
}

/** `podman exec` into a container that runs for the whole contest. */
export function podmanExec(peers: Peers): Contender {
  let container: Promise<string> | null = null
  return {
    name: 'podman exec',
    sample: async () => {
      container ??= output('podman', [
        'run',
        '--detach',
        '--network',
        'none',
        '--label',
        peers.label,
        '--entrypoint',
        '',
        peers.image,
        'sleep',
        'infinity',
      ])
      return (await timed('podman', ['exec', await container, 'true'])).exit_ms
    },
  }
}
