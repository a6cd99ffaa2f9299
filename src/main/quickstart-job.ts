import { execFile } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Seal, Verification } from '../contract/home.ts'
import type { HostReport, LevelReport } from '../contract/host.ts'
import type { IsolationLevel } from '../contract/ids.ts'
import type { DestroyReport, Mission } from '../contract/mission.ts'
import type { Collection, ExecResult, SpawnedSeat } from '../contract/seat.ts'
import { LazarusError } from '../kernel/errors.ts'

/** The API as quickstart sees it: one call that throws what the pit refuses. */
export type Call = <T>(method: string, path: string, body?: unknown) => Promise<T>

export interface QuickstartDeps {
  readonly call: Call
  readonly print: (line: string) => void
  readonly monotonic: () => number
  /** Where the demonstration repository may lie for a moment. */
  readonly scratchDir: string
}

const run = promisify(execFile)
const AGENT = 'first-agent'
const WORK = `printf 'An agent worked here, at %s.\\n' "$LAZARUS_LEVEL" > LAZARUS.md && git add LAZARUS.md && git commit -q -m "Work at $LAZARUS_LEVEL"`

/** The main job on a real repository at every level that this host can do. Resolves to how many levels failed. */
export async function quickstart(deps: QuickstartDeps): Promise<number> {
  const { call, print } = deps
  const host = await call<HostReport>('GET', '/v1/host')
  const levels = host.levels.filter(({ level }) => level !== 'none')
  const able = levels.filter(({ status }) => status !== 'unavailable')
  for (const level of levels) print(levelLine(level))
  const seal = await call<Seal>('POST', '/v1/homes/seal', {})
  print(
    `\nSealed ${seal.homes.length} homes: ${seal.entries} entries${seal.unreadable > 0 ? `, ${seal.unreadable} directories closed to the operator and so to every cell` : ''}.`,
  )
  const repository = await demoRepository(deps.scratchDir)
  let touched = 0
  try {
    for (const { level } of able) touched += await oneMission(deps, level, repository)
  } finally {
    await rm(repository, { recursive: true, force: true })
  }
  const proof = await call<Verification>('POST', '/v1/homes/verify', { seal_id: seal.seal_id })
  print(proofLine(proof))
  return levels.length - able.length + touched
}

const levelLine = ({ level, status, reason, remedy }: LevelReport): string =>
  `${level}  ${status}${reason === null ? '' : `: ${reason}`}${remedy === null ? '' : `\n         remedy: ${remedy}`}`

const proofLine = (proof: Verification): string =>
  proof.unchanged
    ? `\nHomes: ${proof.entries} entries verified, none changed.`
    : `\nHomes: ${proof.changes} of ${proof.entries} entries changed in all this time; other programs of their owners write there too:\n${proof.changed.map(({ path, what }) => `  ${path}: ${what}`).join('\n')}`

/** Resolves to how many entries of homes changed while the cell was destroyed. */
async function oneMission(deps: QuickstartDeps, level: IsolationLevel, repo: string): Promise<number> {
  const { call, print } = deps
  const step = stepper(deps)
  print(`\n${level}`)
  const mission = await step('open the mission', () =>
    call<Mission>('POST', '/v1/missions', { mission_name: `quickstart ${level}`, isolation_level: level, repo }),
  )
  const path = `/v1/missions/${mission.mission_id}`
  const seat = `${path}/seats/${AGENT}`
  await step('seat the agent', () => call<SpawnedSeat>('POST', `${path}/seats`, { agent_id: AGENT, role: 'write' }))
  await step('the agent commits', async () => {
    const done = await call<ExecResult>('POST', `${seat}/exec`, { command: ['sh', '-c', WORK] })
    if (done.exit_code !== 0)
      throw new LazarusError('runtime_failed', `The agent ended with ${done.exit_code}: ${done.stderr}`)
  })
  const work = await step('collect', () => call<Collection>('POST', `${seat}/collect`))
  for (const { id, subject } of work.commits) print(`  ${work.outcome}: ${id.slice(0, 10)} ${subject}`)
  const end = await step('destroy, with proof', () => call<DestroyReport>('DELETE', path))
  print(
    `  ended ${end.released.processes} processes, ${end.released.containers} containers; homes changed: ${end.homes.changed.length}`,
  )
  return end.homes.changed.length
}

const stepper =
  ({ print, monotonic }: QuickstartDeps) =>
  async <T>(name: string, task: () => Promise<T>): Promise<T> => {
    const began = monotonic()
    const result = await task()
    print(`  ${name.padEnd(24)}${(monotonic() - began).toFixed(0).padStart(6)} ms`)
    return result
  }

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
