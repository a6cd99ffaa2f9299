import { PACK_WORKTREE } from './airlock-scripts.ts'
import { ByteReader } from './byte-reader.ts'
import type { CollectContext } from './collect.ts'
import { refused } from './collect.ts'
import { git, gitReason } from './git.ts'
import { receiveFrom } from './receive.ts'
import { streamOf } from './stream.ts'

const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904'
const LONGEST_LINE = 100
const PLAIN = [
  '--no-ext-diff',
  '--no-textconv',
  '--no-color',
  '--find-renames',
  '--src-prefix=a/',
  '--dst-prefix=b/',
  '--submodule=short',
]

/**
 * The worktree as it is, against the base. The airlock only says what the files are; what the difference is, is
 * computed outside, from checked objects in quarantine, with our configuration alone.
 */
export async function diff(
  context: CollectContext,
  max_bytes: number,
): Promise<{ text: Uint8Array; truncated: boolean }> {
  const { airlock, trusted, base, abort } = context
  const passage = {
    script: PACK_WORKTREE,
    args: base.commit === null ? [''] : [base.commit, base.commit],
    ...context.view,
    unprivileged: true,
    abort,
  }
  const stream = streamOf((on_stdout) =>
    airlock.pass(passage, { on_stdout, max_stdout_bytes: Number.MAX_SAFE_INTEGER }),
  )
  const reader = new ByteReader(stream.chunks)
  const worktree = (await reader.until(10, LONGEST_LINE))?.toString('latin1') ?? ''
  const options = { repository: trusted.path, strict: false, max_bytes: context.max_bytes, abort, refuse: refused }
  await using quarantine = await receiveFrom({ chunks: reader.rest(), done: stream.done }, options)
  if (!/^[0-9a-f]{40}$/.test(worktree)) throw refused('The worktree named an odd commit', worktree)
  await quarantine.requireConnected([worktree])
  return await bounded(
    ['diff', ...PLAIN, base.commit ?? EMPTY_TREE, worktree, '--'],
    trusted.path,
    quarantine.environment,
    max_bytes,
    abort,
  )
}

async function bounded(
  args: readonly string[],
  repository: string,
  environment: Readonly<Record<string, string>>,
  max_bytes: number,
  abort: AbortSignal,
) {
  const kept: Uint8Array[] = []
  let size = 0
  const done = await git(args, {
    repository,
    environment,
    abort,
    timeout_ms: 120_000,
    max_stdout_bytes: max_bytes + 1024 ** 2,
    on_stdout: (chunk) => {
      kept.push(chunk.subarray(0, Math.max(max_bytes - size, 0)))
      size += chunk.length
    },
  })
  const truncated = size > max_bytes || done.ended === 'overflow' || done.ended === 'timeout'
  if (done.exit_code !== 0 && !truncated) throw refused('The difference cannot be computed', gitReason(done.stderr))
  return { text: Buffer.concat(kept), truncated }
}
