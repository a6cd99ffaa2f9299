import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Mortal } from '../support/mortal.ts'
import { MortalCell } from '../support/mortal-cell.ts'
import { makeRepository } from '../support/repository.ts'

/**
 * The pit is killed before every step that a verb takes, and again in the middle of the recovery from that. Whatever was
 * acknowledged is there afterwards, nothing half is, and nobody lives twice.
 */
let repository: Awaited<ReturnType<typeof makeRepository>>
beforeAll(async () => {
  repository = await makeRepository()
})
afterAll(() => repository[Symbol.asyncDispose]())

/** One verb as a client sees it; `expect` brings what is known of the cell up to date after a crash. */
interface Verb {
  readonly policies?: object
  readonly ends?: readonly string[]
  prepare?(cell: MortalCell): Promise<void>
  act(cell: MortalCell): Promise<unknown>
  /** What happened in the end, told by the events since. */
  after?(cell: MortalCell, events: readonly string[]): Promise<void>
}

const oldest = async (cell: MortalCell): Promise<string> => (await cell.checkpoints())[0]!

/** Where the work went back to, if it did. */
let target = ''

const VERBS: Record<string, Verb> = {
  'a checkpoint, and the retention after it': {
    act: async (cell) => {
      await cell.checkpoint()
      await cell.ask('POST', `${cell.path}/checkpoints/prune`) // comes after what the first one left to do
    },
  },
  'a restore of the oldest': {
    prepare: async (cell) => {
      await cell.checkpoint()
      target = await oldest(cell)
    },
    act: (cell) => cell.ask('POST', `${cell.path}/restore`, { checkpoint_id: target }),
    after: async (cell, events) => {
      if (events.includes('restored')) cell.lines = cell.saved.get(target) ?? cell.lines
    },
  },
  'a revival from the live layer': {
    act: async (cell) => {
      const { generation } = (await cell.ask('GET', cell.path))?.body ?? {}
      await cell.kill()
      await cell.mortal.pit
        .until(cell.path, (seat) => seat.generation > generation && seat.status === 'active')
        .catch(() => {})
    },
  },
  'a revival by hand, from a checkpoint': {
    policies: { auto_revive: 'no' },
    ends: ['active', 'dead'],
    prepare: async (cell) => {
      await cell.checkpoint()
      target = await oldest(cell)
      await cell.kill()
      await cell.settled(['dead'])
    },
    act: (cell) => cell.ask('POST', `${cell.path}/revive`, { checkpoint_id: target }),
    after: async (cell, events) => {
      if (events.includes('restored')) cell.lines = cell.saved.get(target) ?? cell.lines
      else if ((await cell.settled(['active', 'dead'])).status === 'dead') await cell.ask('POST', `${cell.path}/revive`)
    },
  },
}

/** Dies there, comes back, dies again while it recovers, comes back. */
async function dieAt(mortal: Mortal, point: string, again: number, act: () => Promise<unknown>): Promise<void> {
  await mortal.arm(point)
  await act()
  await mortal.died()
  await mortal.arm(`*#${again}`)
  await mortal.live()
  await mortal.arm(null)
  const isUp = await mortal.pit.call('GET', '/healthz').then(
    () => true,
    () => false,
  )
  if (isUp) return
  await mortal.pit.stop()
  expect(await mortal.live()).toBe(true)
}

/** `swap_layer#0`, `swap_layer#1` where it is passed twice. */
const numbered = (steps: readonly string[]): readonly string[] =>
  steps.map((step, i) => `${step}#${steps.slice(0, i).filter((earlier) => earlier === step).length}`)

async function typesSince(cell: MortalCell, seq: number): Promise<string[]> {
  return (await cell.mortal.events(cell.mission_id)).filter((event) => event.seq > seq).map(({ type }) => type)
}

async function once(
  cell: MortalCell,
  verb: Verb,
  attempt: (act: () => Promise<unknown>) => Promise<void>,
  line: string,
) {
  await cell.settled()
  await cell.work(line)
  await verb.prepare?.(cell)
  const seq = (await cell.mortal.events(cell.mission_id)).at(-1).seq
  await attempt(() => verb.act(cell))
  await cell.settled(verb.ends)
  await verb.after?.(cell, await typesSince(cell, seq))
  await cell.settled()
  await cell.requireSound()
}

const left = (mortal: Mortal): string => {
  const places = ['missions', 'sandboxes', 'doors', 'vault'].map((name) => join(mortal.pit.stateDir, name))
  const args = [...places.filter((place) => existsSync(place)), '-mindepth', '1', '-type', 'f,d,s']
  return execFileSync('find', args, { encoding: 'utf8' })
}

async function everyStep(level: string, verb: Verb, wanted: (steps: readonly string[]) => readonly string[]) {
  await using mortal = await Mortal.start({ retention: { checkpoints: 2 } })
  const cell = await new MortalCell(mortal, level).open(verb.policies, repository.path)
  for (const line of ['one', 'two']) await once(cell, verb, async (act) => void (await act()), line)
  let steps: readonly string[] = []
  await once(cell, verb, async (act) => void (steps = await mortal.steps(act)), 'three')
  const points = wanted(numbered(steps))
  for (const [i, point] of points.entries()) {
    const attempt = (act: () => Promise<unknown>) => dieAt(mortal, point, i % 7, act)
    await once(cell, verb, attempt, `line-${i}`).catch(async (error) => {
      throw new Error(`killed before ${point}: ${error.message}\n${(await mortal.log()).slice(-3000)}`, {
        cause: error,
      })
    })
  }
  await cell.destroy()
  expect(left(mortal)).toBe('')
  return points
}

describe.each(Object.entries(VERBS))('level_2: %s', (_, verb) => {
  test('survives a kill -9 of the pit before every step', async () => {
    const t = performance.now()
    const points = await everyStep('level_2', verb, (steps) => steps)
    console.log(points.length, Math.round(performance.now() - t), points.join(' '))
  }, 300_000)
})
