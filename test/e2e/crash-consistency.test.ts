import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Mortal } from '../support/mortal.ts'
import { MortalCell } from '../support/mortal-cell.ts'
import { PACE } from '../support/pace.ts'
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
  /** Of its steps, where not all are taken. */
  readonly one_in?: number
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
  checkpoint: {
    act: async (cell) => {
      await cell.checkpoint()
      await cell.ask('POST', `${cell.path}/checkpoints/prune`) // comes after what the first one left to do
    },
  },
  restore: {
    prepare: async (cell) => {
      await cell.checkpoint()
      target = await oldest(cell)
    },
    act: (cell) => cell.ask('POST', `${cell.path}/restore`, { checkpoint_id: target }),
    after: async (cell, events) => {
      if (events.includes('restored')) cell.lines = cell.saved.get(target) ?? cell.lines
    },
  },
  revival: {
    act: async (cell) => {
      const { generation } = (await cell.ask('GET', cell.path))?.body ?? {}
      await cell.kill()
      await cell.mortal.pit
        .until(cell.path, (seat) => seat.generation > generation && seat.status === 'active')
        .catch(() => {})
    },
  },
  'revival from a checkpoint': {
    one_in: 4, // the steps of a restore
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
  substitution: {
    one_in: 3,
    policies: { max_retries: 0, substitute_agents: Array.from({ length: 90 }, (_, i) => `substitute-${i}`) },
    ends: ['released'],
    act: async (cell) => {
      await cell.kill()
      await cell.settled(['released']).catch(() => {})
    },
    after: async (cell) => {
      const { body } = await cell.mortal.pit.call('GET', `/v1/missions/${cell.mission_id}/seats`)
      const alive = body.seats.filter((seat: { status: string }) => seat.status === 'active')
      expect(alive, 'one successor').toHaveLength(1)
      cell.handOver(alive[0].agent_id)
    },
  },
}

/** Dies there, comes back, dies again while it recovers where that is asked, comes back. */
async function dieAt(mortal: Mortal, point: string, again: string | null, act: () => Promise<unknown>): Promise<void> {
  await mortal.arm(point)
  await act()
  await mortal.died()
  await mortal.arm(again)
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

/** Events of one commit, or with no step between, are one moment. */
const isOther = (step: string, i: number, all: readonly string[]): boolean =>
  !(step.startsWith('event ') && all[i - 1]?.startsWith('event '))

/** `swap_layer#0`, `swap_layer#1` where it is passed twice. */
const numbered = (steps: readonly string[]): readonly string[] =>
  steps.map((step, i) => `${step}#${steps.slice(0, i).filter((earlier) => earlier === step).length}`)

async function typesSince(cell: MortalCell, seq: number): Promise<string[]> {
  return (await cell.mortal.events(cell.mission_id, seq)).map(({ type }) => type)
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

/** Every step of a verb, or one in so many: all of them where LAZARUS_TEST_THOROUGH is set. */
async function dieAtSteps(level: string, verb: Verb, one_in: number): Promise<void> {
  await using mortal = await Mortal.start({ retention: { checkpoints: 2 } })
  const cell = await new MortalCell(mortal, level).open(verb.policies, repository.path)
  for (const line of ['one', 'two']) await once(cell, verb, async (act) => void (await act()), line)
  const passed: string[] = []
  await once(cell, verb, async (act) => void passed.push(...(await mortal.steps(act))), 'three')
  const every = process.env.LAZARUS_TEST_THOROUGH ? 1 : one_in
  const points = numbered(passed.filter(isOther)).filter((_, i) => i % every === 0)
  expect(points.length).toBeGreaterThan(1)
  for (const [i, point] of points.entries()) {
    const attempt = (act: () => Promise<unknown>) => dieAt(mortal, point, i % 3 === 0 ? `*#${(i / 3) % 7}` : null, act)
    await once(cell, verb, attempt, `line-${i}`).catch(async (error) => {
      throw new Error(`killed before ${point}: ${error.message}\n${(await mortal.log()).slice(-3000)}`, {
        cause: error,
      })
    })
  }
  await cell.destroy()
  expect(mortal.left()).toBe('')
}

const MINUTES = 60_000 * PACE

describe('killed before every step of', () => {
  test.each(Object.entries(VERBS))(
    '%s at level_2',
    (_, verb) => dieAtSteps('level_2', verb, verb.one_in ?? 1),
    5 * MINUTES,
  )
})

describe.each(['level_1', 'level_3'])('killed before some steps at %s of', (level) => {
  test.each([
    ['checkpoint', 5],
    ['restore', 13],
    ['revival', 9],
  ] as const)('a %s', (name, one_in) => dieAtSteps(level, VERBS[name]!, one_in), 5 * MINUTES)
})
