import { mkdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LazarusError } from '../kernel/errors.ts'
import { SYSTEM_PATH } from '../linux/hull.ts'
import { run } from '../linux/run.ts'
import type { SeatLayer } from '../ports/workspace.ts'
import { baseConfig, quoted } from './base-checkout.ts'
import { isDiskFull } from './git.ts'

/** Before the first mount the layer holds the seat's branch and identity; nothing on the host opens it again. */
export function layOverlay(building: string, layer: SeatLayer): void {
  mkdirSync(join(building, 'work'), { mode: 0o700 })
  mkdirSync(join(building, 'upper'), { mode: 0o755 })
  seedGit(join(building, 'upper', '.git'), layer)
}

export async function layClone(building: string, layer: SeatLayer, base_tree: string): Promise<void> {
  const tree = join(building, 'tree')
  const environment = { PATH: SYSTEM_PATH, LC_ALL: 'C' }
  const done = await run('cp', ['--archive', '--reflink=auto', '--', base_tree, tree], { environment })
  if (done.exit_code !== 0) {
    const full = isDiskFull(done.stderr)
    throw new LazarusError(
      full ? 'storage_full' : 'spawn_failed',
      `The base could not be copied: ${done.stderr.trim().slice(-500)}`,
    )
  }
  for (const name of ['HEAD', 'config']) unlinkSync(join(tree, '.git', name))
  seedGit(join(tree, '.git'), layer)
  // Thousands of files, and nothing that could tell later which of them a power loss tore.
  const synced = await run('sync', ['-f', tree], { environment })
  if (synced.exit_code !== 0)
    throw new LazarusError('spawn_failed', `The copy of the base could not be synced: ${synced.stderr.trim()}`)
}

/** The files that `seedGit` makes, as paths below the worktree. */
export const seededFiles = (agent_id: string): readonly string[] => [
  '.git/HEAD',
  '.git/config',
  `.git/refs/heads/mission/${agent_id}`,
]

/** Everything that it makes; content beyond it is work. */
export const seededPaths = (agent_id: string): readonly string[] => [
  '.git',
  '.git/refs',
  '.git/refs/heads',
  '.git/refs/heads/mission',
  ...seededFiles(agent_id),
]

function seedGit(dotGit: string, { seat, base }: SeatLayer): void {
  const branches = join(dotGit, 'refs/heads/mission')
  mkdirSync(branches, { recursive: true })
  const user = `[user]\n\tname = ${quoted(seat.agent_id)}\n\temail = ${quoted(`${seat.agent_id}@${seat.mission_id}.lazarus.invalid`)}\n`
  seed(join(dotGit, 'HEAD'), `ref: refs/heads/mission/${seat.agent_id}\n`)
  seed(join(dotGit, 'config'), baseConfig(base) + user)
  if (base.commit !== null) seed(join(branches, seat.agent_id), `${base.commit}\n`)
}

/** Not synced: why, says `Layers`. */
const seed = (path: string, content: string): void => writeFileSync(path, content, { flag: 'wx', mode: 0o600 })

/** What stands at /mission, read-only; `artifacts` is the place where those of every seat are mounted. */
export function layBrief(brief: string, { seat, role, base }: SeatLayer): void {
  mkdirSync(join(brief, 'artifacts'), { recursive: true, mode: 0o700 })
  const branch = role === 'audit' ? null : `mission/${seat.agent_id}`
  const facts = { ...seat, role, branch, base: { repo: base.repo, ref: base.ref, commit: base.commit } }
  writeFileSync(join(brief, 'mission.json'), `${JSON.stringify(facts, null, 2)}\n`)
  writeFileSync(join(brief, 'README'), BRIEF)
}

const BRIEF = `You work in a mission cell.

/workspace        your worktree, a git repository on your own branch; commit here, commits are collected
/home/agent       your home; private, kept across a revival
/artifacts        hand files over here; other seats see them read-only below /mission/artifacts
/mission          this brief; mission.json says who you are
/tmp              private, lost at the end
/run/lazarus      cell.sock is the API of your seat
`
