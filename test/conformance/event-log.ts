import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { type DomainEvent, domainEvent, type RecordedEvent, recordedEvent } from '../../src/contract/event.ts'
import type { EventLog } from '../../src/ports/event-log.ts'

/** One ledger of its own per test. `reopen` closes it and opens what is left on the disk: declared by those that have one. */
export interface LogUnderTest {
  readonly log: EventLog
  readonly reopen?: () => Promise<EventLog>
  readonly dispose: () => Promise<void>
}

export const MISSION_A = '0b6c9b0e-6c1c-4a51-9a55-3f7a0d9b2d01'
export const MISSION_B = '0b6c9b0e-6c1c-4a51-9a55-3f7a0d9b2d02'

export const completed = (): DomainEvent => ({ type: 'mission_completed', agent_id: null, data: {} })
export const failed = (reason: string): DomainEvent => ({ type: 'mission_failed', agent_id: null, data: { reason } })
export const collected = (commits: number): DomainEvent => ({
  type: 'collected',
  agent_id: 'builder',
  data: { head: 'f'.repeat(40), outcome: 'delivered', commits },
})

const never = new AbortController().signal
const seqs = (events: Iterable<RecordedEvent>) => [...events].map((event) => event.seq)
const rejection = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

async function take(events: AsyncIterable<RecordedEvent>, count: number): Promise<RecordedEvent[]> {
  const taken: RecordedEvent[] = []
  if (count === 0) return taken
  for await (const event of events) {
    taken.push(event)
    if (taken.length === count) break
  }
  return taken
}

/** What every ledger must do, whatever keeps it. */
export function eventLogConformance(name: string, durable: boolean, make: () => Promise<LogUnderTest>): void {
  describe(`the EventLog port: ${name}`, () => {
    const open: LogUnderTest[] = []
    const fresh = async () => {
      const made = await make()
      open.push(made)
      return made
    }
    afterEach(async () => {
      for (const made of open.splice(0)) await made.dispose()
    })

    describe('append', () => {
      it('gives back what it recorded, and read gives the same', async () => {
        const { log } = await fresh()
        const recorded = await log.append(MISSION_A, 0, [failed('“quotes”, \n newline, \u2028 and 🜁'), collected(3)])
        expect(
          recorded.map(({ seq, version, mission_id, agent_id, type }) => [seq, version, mission_id, agent_id, type]),
        ).toEqual([
          [1, 1, MISSION_A, null, 'mission_failed'],
          [2, 2, MISSION_A, 'builder', 'collected'],
        ])
        expect([...log.read()]).toEqual(recorded)
        for (const event of recorded) {
          recordedEvent.parse(event)
          domainEvent.parse({ type: event.type, agent_id: event.agent_id, data: event.data })
        }
      })

      it('refuses a wrong expected version, tells both versions, and appends nothing', async () => {
        const { log } = await fresh()
        await log.append(MISSION_A, 0, [completed()])
        for (const wrong of [0, 2]) {
          const error = await rejection(log.append(MISSION_A, wrong, [completed(), completed()]))
          expect(error).toMatchObject({ code: 'conflict', details: { version: 1, expected_version: wrong } })
        }
        expect(log.head()).toBe(1)
        expect(seqs(log.read())).toEqual([1])
      })

      it('lets exactly one of many concurrent writers of one version win; the losers do not harm their neighbours', async () => {
        const { log } = await fresh()
        const writers = Array.from({ length: 50 }, (_, i) => log.append(MISSION_A, 0, [collected(i)]))
        const neighbours = Array.from({ length: 50 }, (_, i) => log.append(MISSION_B, i, [collected(i)]))
        const outcomes = await Promise.allSettled(writers)
        expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1)
        await Promise.all(neighbours)
        expect([...log.read({ mission_id: MISSION_B })].map((event) => event.version)).toEqual(
          neighbours.map((_, i) => i + 1),
        )
        expect(seqs(log.read())).toEqual(Array.from({ length: 51 }, (_, i) => i + 1))
      })

      it('keeps the order in which appends were asked for', async () => {
        const { log } = await fresh()
        await Promise.all(Array.from({ length: 2500 }, (_, i) => log.append(MISSION_A, i, [collected(i)])))
        const commits = [...log.read()].map((event) => (event.type === 'collected' ? event.data.commits : -1))
        expect(commits).toEqual(Array.from({ length: 2500 }, (_, i) => i))
      })

      it('with no events only checks the version', async () => {
        const { log } = await fresh()
        expect(await log.append(MISSION_A, 0, [])).toEqual([])
        expect(await rejection(log.append(MISSION_A, 1, []))).toMatchObject({ code: 'conflict' })
        expect(log.head()).toBe(0)
      })

      it('fails only its own caller when an event cannot be text', async () => {
        const { log } = await fresh()
        const odd = { type: 'collected', agent_id: 'builder', data: { commits: 1n } } as unknown as DomainEvent
        const outcomes = await Promise.allSettled([
          log.append(MISSION_A, 0, [completed()]),
          log.append(MISSION_B, 0, [odd]),
          log.append(MISSION_A, 1, [completed()]),
        ])
        expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      })

      it('shares no object with its caller', async () => {
        const { log } = await fresh()
        const event = failed('as it was')
        const [recorded] = await log.append(MISSION_A, 0, [event])
        Object.assign(event.data, { reason: 'changed' })
        Object.assign(recorded!.data, { reason: 'changed' })
        expect([...log.read()][0]!.data).toEqual({ reason: 'as it was' })
      })
    })

    describe('read', () => {
      it('filters by position, mission and type, and bounds the count, each alone and together', async () => {
        const { log } = await fresh()
        await log.append(MISSION_A, 0, [collected(1), completed(), collected(2)])
        await log.append(MISSION_B, 0, [collected(3), failed('x')])
        expect(seqs(log.read({ after: 3 }))).toEqual([4, 5])
        expect(seqs(log.read({ mission_id: MISSION_B }))).toEqual([4, 5])
        expect(seqs(log.read({ types: ['collected'] }))).toEqual([1, 3, 4])
        expect(seqs(log.read({ types: [] }))).toEqual([])
        expect(seqs(log.read({ limit: 2 }))).toEqual([1, 2])
        expect(seqs(log.read({ limit: 0 }))).toEqual([])
        expect(
          seqs(log.read({ after: 1, mission_id: MISSION_A, types: ['collected', 'mission_failed'], limit: 9 })),
        ).toEqual([3])
        expect(seqs(log.read({ after: 99 }))).toEqual([])
      })

      it('agrees with a plain list, for any history and any question', async () => {
        const missions = [MISSION_A, MISSION_B]
        const types = ['collected', 'mission_completed', 'mission_failed'] as const
        const make = { collected: () => collected(1), mission_completed: completed, mission_failed: () => failed('x') }
        const history = fc.array(fc.record({ mission: fc.constantFrom(0, 1), type: fc.constantFrom(...types) }), {
          maxLength: 30,
        })
        const question = fc.record(
          {
            after: fc.nat(35),
            mission_id: fc.constantFrom(...missions),
            types: fc.uniqueArray(fc.constantFrom<string>(...types)),
            limit: fc.nat(35),
          },
          { requiredKeys: [] },
        )
        await fc.assert(
          fc.asyncProperty(history, fc.array(question, { maxLength: 5 }), async (steps, questions) => {
            const { log } = await fresh()
            const versions = [0, 0]
            for (const { mission, type } of steps)
              await log.append(missions[mission]!, versions[mission]!++, [make[type]()])
            const list = steps.map(({ mission, type }, i) => ({ seq: i + 1, mission_id: missions[mission]!, type }))
            for (const { after = 0, mission_id, types: wanted, limit = 1000 } of questions) {
              const expected = list
                .filter(
                  (e) =>
                    e.seq > after &&
                    (mission_id ?? e.mission_id) === e.mission_id &&
                    (wanted ?? [e.type]).includes(e.type),
                )
                .slice(0, limit)
                .map((e) => e.seq)
              const asked = { after, limit, ...(mission_id && { mission_id }), ...(wanted && { types: wanted }) }
              expect(seqs(log.read(asked))).toEqual(expected)
            }
          }),
          { numRuns: 30 },
        )
      })

      it('can be read while it grows, by several readers at a time, each up to where the log ended at its start', async () => {
        const { log } = await fresh()
        await log.append(
          MISSION_A,
          0,
          Array.from({ length: 1200 }, (_, i) => collected(i)),
        )
        const first = log.read()[Symbol.iterator]()
        expect(first.next().value?.seq).toBe(1)
        await log.append(MISSION_A, 1200, [completed()])
        expect(seqs(log.read())).toHaveLength(1201)
        let last = 1
        for (let step = first.next(); !step.done; step = first.next()) last = step.value.seq
        expect(last).toBe(1200)
      })
    })

    describe('follow', () => {
      it('tells the past, then the present, in order, none missed, none twice', async () => {
        const { log } = await fresh()
        await log.append(
          MISSION_A,
          0,
          Array.from({ length: 700 }, (_, i) => collected(i)),
        )
        const following = take(log.follow({}, never), 1500)
        for (let version = 700; version < 1500; version += 1) {
          const appended = log.append(MISSION_A, version, [collected(version)])
          if (version % 7 === 0) await appended
        }
        expect(seqs(await following)).toEqual(Array.from({ length: 1500 }, (_, i) => i + 1))
      })

      it('filters as read does and resumes after a position', async () => {
        const { log } = await fresh()
        await log.append(MISSION_A, 0, [collected(1), completed(), collected(2)])
        const following = take(log.follow({ after: 1, mission_id: MISSION_A, types: ['collected'] }, never), 2)
        await log.append(MISSION_B, 0, [collected(3)])
        await log.append(MISSION_A, 3, [completed(), collected(4)])
        expect(seqs(await following)).toEqual([3, 6])
        expect(seqs(await take(log.follow({ limit: 2 }, never), 9))).toEqual([1, 2])
      })

      it('a slow reader loses nothing and holds up nobody', async () => {
        const { log } = await fresh()
        const slow = log.follow({}, never)[Symbol.asyncIterator]()
        await log.append(MISSION_A, 0, [collected(0)])
        expect((await slow.next()).value?.seq).toBe(1)
        for (let version = 1; version <= 300; version += 1) await log.append(MISSION_A, version, [collected(version)])
        expect(seqs(await take(log.follow({}, never), 301))).toHaveLength(301)
        for (let seq = 2; seq <= 301; seq += 1) {
          await turn()
          expect((await slow.next()).value?.seq).toBe(seq)
        }
        await slow.return?.()
      })

      it('ends on abort: before the first event, while it waits, and between two events', async () => {
        const { log } = await fresh()
        expect(await take(log.follow({}, AbortSignal.abort()), 1)).toEqual([])
        const waiting = new AbortController()
        const waited = take(log.follow({}, waiting.signal), 1)
        await turn()
        waiting.abort()
        expect(await waited).toEqual([])
        await log.append(MISSION_A, 0, [completed(), completed()])
        const between = new AbortController()
        const seen: number[] = []
        for await (const event of log.follow({}, between.signal)) {
          seen.push(event.seq)
          between.abort()
        }
        expect(seen).toEqual([1])
      })

      it('tells nothing of an append that was refused', async () => {
        const { log } = await fresh()
        const following = take(log.follow({}, never), 2)
        await log.append(MISSION_A, 0, [collected(1)])
        await rejection(log.append(MISSION_A, 0, [failed('never told')]))
        await log.append(MISSION_A, 1, [collected(2)])
        expect((await following).map((event) => event.type)).toEqual(['collected', 'collected'])
      })
    })

    describe('head and close', () => {
      it('head is the newest event, at the latest when its append is answered', async () => {
        const { log } = await fresh()
        expect(log.head()).toBe(0)
        await log.append(MISSION_A, 0, [completed(), completed()])
        expect(log.head()).toBe(2)
      })

      it('close answers what is queued, ends followers, refuses what comes later, and may be repeated', async () => {
        const { log } = await fresh()
        const following = take(log.follow({}, never), 99)
        const queued = log.append(MISSION_A, 0, [completed()])
        await turn()
        await log.close()
        await log.close()
        expect(await queued).toHaveLength(1)
        expect((await following).length).toBeLessThanOrEqual(1)
        expect(await rejection(log.append(MISSION_A, 1, [completed()]))).toMatchObject({ code: 'shutting_down' })
      })
    })

    if (durable) {
      describe('after it was opened again', () => {
        it('has every event, goes on with the sequence, and still checks versions', async () => {
          const { log, reopen } = await fresh()
          const before = await log.append(MISSION_A, 0, [collected(1), failed('x')])
          const again = await reopen!()
          expect(again.head()).toBe(2)
          expect([...again.read()]).toEqual(before)
          expect(await rejection(again.append(MISSION_A, 0, [completed()]))).toMatchObject({ code: 'conflict' })
          expect(await again.append(MISSION_A, 2, [completed()])).toMatchObject([{ seq: 3, version: 3 }])
        })
      })
    }
  })
}
