import { count } from '../cli/render/human.ts'
import type { IsolationLevel } from '../contract/ids.ts'
import type { DestroyReport, Mission } from '../contract/mission.ts'
import type { Incident } from '../contract/revival.ts'
import type { Collection, Seat, SpawnedSeat } from '../contract/seat.ts'
import { LazarusError } from '../kernel/errors.ts'
import { COMMAND, COMMITTED, FINISHED, RESUME_COMMAND } from './quickstart-agent.ts'
import type { QuickstartDeps } from './quickstart-deps.ts'

const AGENT = 'first-agent'
const NEXT_GENERATION = /"generation":2\b/
/** Longest that the agent may take for a step. */
const PATIENCE_MS = 120_000

/** One mission at one level, from its opening to the proof. Resolves to how many entries of homes changed meanwhile. */
export async function quickstartMission(deps: QuickstartDeps, level: IsolationLevel, repo: string): Promise<number> {
  const { call, print } = deps
  const step = stepper(deps)
  print(`\n${level}`)
  const mission = await step('open the mission', () =>
    call<Mission>('POST', '/v1/missions', {
      mission_name: `quickstart ${level}`,
      isolation_level: level,
      repo,
      policies: { auto_revive: 'yes', max_retries: 3 },
    }),
  )
  const path = `/v1/missions/${mission.mission_id}`
  const seat = `${path}/seats/${AGENT}`
  await step('seat the agent', () =>
    call<SpawnedSeat>('POST', `${path}/seats`, { agent_id: AGENT, command: COMMAND, resume_command: RESUME_COMMAND }),
  )
  await step('the agent commits', () => told(deps, `${seat}/logs?follow=true`, COMMITTED))
  const words = await step('kill -9, and it is back', async () => {
    await call<Seat>('POST', `${seat}/kill`, { signal: 'SIGKILL' })
    await told(deps, `/v1/events?follow=true&mission_id=${mission.mission_id}&types=seat_spawned`, NEXT_GENERATION)
    return told(deps, `${seat}/logs?follow=true`, FINISHED)
  })
  await tellRevival(deps, mission.mission_id)
  print(`    it says: ${words[1]}`)
  const work = await step('collect', () => call<Collection>('POST', `${seat}/collect`))
  for (const { id, subject } of work.commits.toReversed()) print(`    ${work.outcome}: ${id.slice(0, 10)} ${subject}`)
  const end = await step('destroy, with proof', () => call<DestroyReport>('DELETE', path))
  const { processes, containers } = end.released
  print(`    ended ${count(processes, 'process', 'processes')}, ${count(containers, 'container')}; ${homes(end)}`)
  return end.homes.changed.length
}

/** What the pit itself measured, from the exit of the agent on. */
async function tellRevival({ call, print }: QuickstartDeps, mission_id: string): Promise<void> {
  const { incidents } = await call<{ incidents: Incident[] }>('GET', `/v1/incidents?mission_id=${mission_id}`)
  const [death] = incidents
  if (incidents.length !== 1 || death?.outcome !== 'revived' || death.resumed_from !== 'live') {
    throw new LazarusError('runtime_failed', `The agent was not revived as expected: ${JSON.stringify(incidents)}`)
  }
  const [noticed, back] = [death.time_to_detect_ms, death.time_to_revive_ms!].map((ms) => ms.toFixed(0))
  print(`    death by ${death.signal} noticed after ${noticed} ms, running again after ${back} ms, nothing lost`)
}

const homes = ({ homes: { changed, entries } }: DestroyReport): string =>
  changed.length === 0
    ? `homes unchanged (${count(entries, 'entry', 'entries')})`
    : `homes changed: ${changed.map(({ path }) => path).join(', ')}`

/** Waits until a stream of the pit has had these words. */
async function told({ follow }: QuickstartDeps, path: string, words: RegExp): Promise<RegExpExecArray> {
  const abort = AbortSignal.timeout(PATIENCE_MS)
  let text = ''
  try {
    for await (const chunk of follow(path, abort)) {
      text += chunk
      const found = words.exec(text)
      if (found) return found
    }
  } catch (error) {
    if (!abort.aborted) throw error
  }
  throw new LazarusError('runtime_failed', `The agent did not do its part; so far:\n${text}`)
}

const stepper =
  ({ print, monotonic }: QuickstartDeps) =>
  async <T>(name: string, task: () => Promise<T>): Promise<T> => {
    const began = monotonic()
    const result = await task()
    print(`  ${name.padEnd(24)}${(monotonic() - began).toFixed(0).padStart(6)} ms`)
    return result
  }
