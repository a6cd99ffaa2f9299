import { LazarusError } from '../kernel/errors.ts'
import type { RunResult } from '../linux/run.ts'
import { git, gitReason, isDiskFull, text } from './git.ts'
import type { Fetched, MirrorDeps } from './mirror-deps.ts'
import type { RemoteSource } from './source.ts'

const HEAD_REF = 'refs/lazarus/head'

/** Fetches branches, tags and HEAD over the network. No files on this host, no helpers, no prompt, no redirect to others. */
export async function fetchRemote(
  source: RemoteSource,
  ref: string | null,
  mirror: string,
  deps: MirrorDeps,
  abort: AbortSignal,
): Promise<Fetched> {
  const refspecs = ['+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*']
  deps.onProgress(`Fetching ${source.shown}`)
  let done = await fetch(source, mirror, [...refspecs, `+HEAD:${HEAD_REF}`], deps, abort)
  const headless = done.exit_code !== 0 && /couldn't find remote ref HEAD/i.test(done.stderr)
  if (headless) {
    await git(['update-ref', '-d', HEAD_REF], { repository: mirror, abort })
    done = await fetch(source, mirror, refspecs, deps, abort)
  }
  if (done.exit_code !== 0) throw unavailable(source.shown, done)
  const head = headless ? null : await commitOf(mirror, HEAD_REF, abort)
  return { head, asked: await fetchAsked(source, ref, mirror, deps, abort) }
}

/** A full id that no branch or tag reaches can still be had, where the server allows it. */
async function fetchAsked(
  source: RemoteSource,
  ref: string | null,
  mirror: string,
  deps: MirrorDeps,
  abort: AbortSignal,
) {
  if (ref === null || !/^[0-9a-f]{40}$/.test(ref)) return null
  const present = await commitOf(mirror, ref, abort)
  if (present !== null) return present
  await fetch(source, mirror, [ref], deps, abort)
  return commitOf(mirror, ref, abort)
}

async function commitOf(mirror: string, name: string, abort: AbortSignal): Promise<string | null> {
  const done = await git(['rev-parse', '-q', '--verify', `${name}^{commit}`], {
    repository: mirror,
    abort,
    max_stdout_bytes: 4096,
  })
  return done.exit_code === 0 ? text(done) : null
}

function fetch(
  source: RemoteSource,
  mirror: string,
  refspecs: readonly string[],
  deps: MirrorDeps,
  abort: AbortSignal,
): Promise<RunResult> {
  const args = [
    'fetch',
    '--quiet',
    '--prune',
    '--no-tags',
    '--no-write-fetch-head',
    '--update-shallow',
    '--no-auto-maintenance',
    '--end-of-options',
    source.url,
    ...refspecs,
  ]
  return git(args, {
    repository: mirror,
    environment: deps.remote_environment,
    config: {
      [`protocol.${source.protocol}.allow`]: 'always',
      'http.lowSpeedLimit': '1000',
      'http.lowSpeedTime': '60',
      'fetch.unpackLimit': '1',
      ...(source.authorization !== null && {
        [`http.${source.url}.extraHeader`]: `Authorization: ${source.authorization}`,
      }),
    },
    abort,
    timeout_ms: 3_600_000,
  })
}

function unavailable(shown: string, done: RunResult): LazarusError {
  const reason = done.ended === 'timeout' ? 'it did not answer in time' : gitReason(done.stderr)
  if (isDiskFull(reason)) return new LazarusError('storage_full', `The disk is full: ${reason}`)
  return new LazarusError('repository_unavailable', `The repository ${shown} cannot be fetched: ${reason}`, {
    details: { repo: shown, reason },
  })
}
