import { execFile } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { count } from '../cli/render/human.ts'
import type { Seal, Verification } from '../contract/home.ts'
import type { HostReport, LevelReport } from '../contract/host.ts'
import type { QuickstartDeps } from './quickstart-deps.ts'
import { quickstartMission } from './quickstart-mission.ts'

const run = promisify(execFile)

/** The main job on a real repository at every level that this host can do. Resolves to how many levels failed. */
export async function quickstart(deps: QuickstartDeps): Promise<number> {
  const { call, print } = deps
  const host = await call<HostReport>('GET', '/v1/host')
  const levels = host.levels.filter(({ level }) => level !== 'none')
  const able = levels.filter(({ status }) => status !== 'unavailable')
  for (const level of levels) print(levelLine(level))
  const seal = await call<Seal>('POST', '/v1/homes/seal', {})
  print(`\nSealed ${sealed(seal)}.`)
  const repository = await demoRepository(deps.scratchDir)
  let touched = 0
  try {
    for (const { level } of able) touched += await quickstartMission(deps, level, repository)
  } finally {
    await rm(repository, { recursive: true, force: true })
  }
  const proof = await call<Verification>('POST', '/v1/homes/verify', { seal_id: seal.seal_id })
  print(proofLine(proof))
  return levels.length - able.length + touched
}

const levelLine = ({ level, status, reason, remedy }: LevelReport): string =>
  `${level}  ${status}${reason === null ? '' : `: ${reason}`}${remedy === null ? '' : `\n         remedy: ${remedy}`}`

function sealed({ homes, entries, unreadable }: Seal): string {
  const closed = `${count(unreadable, 'directory', 'directories')} closed to the operator and so to every cell`
  const what = `${count(homes.length, 'home')}: ${count(entries, 'entry', 'entries')}`
  return unreadable > 0 ? `${what}, ${closed}` : what
}

const proofLine = (proof: Verification): string =>
  proof.unchanged
    ? `\nHomes: ${count(proof.entries, 'entry', 'entries')} verified, none changed.`
    : `\nHomes: ${proof.changes} of ${proof.entries} entries changed in all this time; other programs of their owners write there too:\n${proof.changed.map(({ path, what }) => `  ${path}: ${what}`).join('\n')}`

/** A repository made by git itself, with a history of two commits. */
async function demoRepository(scratchDir: string): Promise<string> {
  const path = join(scratchDir, 'quickstart.git')
  await rm(path, { recursive: true, force: true })
  await mkdir(path, { recursive: true, mode: 0o700 })
  const git = (...args: string[]) =>
    run('git', ['-C', path, '-c', 'user.name=Quickstart', '-c', 'user.email=quickstart@lazarus.invalid', ...args])
  await git('init', '-q', '-b', 'main')
  await writeFile(join(path, 'README.md'), '# A project\n')
  await git('add', '-A')
  await git('commit', '-q', '-m', 'Begin')
  await writeFile(join(path, 'main.sh'), '#!/bin/sh\necho hello\n', { mode: 0o755 })
  await git('add', '-A')
  await git('commit', '-q', '-m', 'Say hello')
  return path
}
