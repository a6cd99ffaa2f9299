import { describe, expect, test } from 'vitest'
import { RevivalQueue, type Waiting } from '../../src/app/revival-queue.ts'
import { PACE } from '../support/pace.ts'

const waiting = (mission_id: string, n: number, changes: Partial<Waiting> = {}): Waiting => ({
  mission_id,
  agent_id: `agent-${n}`,
  revival_id: `${mission_id}/${n}`,
  approved: true,
  due_at: 0,
  give_up_at: 1000,
  ...changes,
})

const idle = () => 0

/** Takes all that is ready, with the load rising as it does under a supervisor. */
function takeAll(queue: RevivalQueue): string[] {
  const load = new Map<string, number>()
  const taken: string[] = []
  for (;;) {
    const next = queue.take((mission_id) => load.get(mission_id) ?? 0)
    if (next === null) return taken
    load.set(next.mission_id, (load.get(next.mission_id) ?? 0) + 1)
    taken.push(next.revival_id)
  }
}

describe('who is next', () => {
  test('in order of arrival, the missions by turns', () => {
    const queue = new RevivalQueue()
    for (let n = 0; n < 90; n += 1) queue.put(waiting('large', n))
    for (let n = 0; n < 10; n += 1) queue.put(waiting('small', n))
    queue.advance(0)
    const order = takeAll(queue)
    expect(order).toHaveLength(100)
    expect(order.slice(0, 20).filter((id) => id.startsWith('small'))).toHaveLength(10)
    const own = order.filter((id) => id.startsWith('large'))
    expect(own).toEqual(own.toSorted((a, b) => Number(a.split('/')[1]) - Number(b.split('/')[1])))
  })

  test('nobody before the backoff is over, without approval, or twice', () => {
    const queue = new RevivalQueue()
    queue.put(waiting('m', 1, { due_at: 500 }))
    queue.put(waiting('m', 2, { approved: false }))
    expect(queue.advance(499)).toEqual([])
    expect([queue.take(idle), queue.next()]).toEqual([null, 500])
    queue.advance(500)
    expect(queue.take(idle)?.revival_id).toBe('m/1')
    expect(queue.take(idle)).toBeNull()
    queue.put(waiting('m', 2))
    queue.advance(500)
    expect(queue.take(idle)?.revival_id).toBe('m/2')
  })

  test('who waited too long is told once, and not taken', () => {
    const queue = new RevivalQueue()
    queue.put(waiting('m', 1))
    queue.put(waiting('m', 2, { approved: false, give_up_at: 2000 }))
    expect(queue.advance(1000).map(({ revival_id }) => revival_id)).toEqual(['m/1'])
    expect([queue.advance(1001), queue.take(idle), queue.next()]).toEqual([[], null, 2000])
  })

  test('who is gone leaves nothing', () => {
    const queue = new RevivalQueue()
    queue.put(waiting('m', 1))
    queue.advance(0)
    queue.remove('m/1')
    queue.remove('m/1')
    expect([queue.take(idle), queue.next(), queue.advance(5000)]).toEqual([null, null, []])
  })
})

test('a look costs no more with a hundred times as many that wait', () => {
  const looksWith = (count: number): number => {
    const queue = new RevivalQueue()
    for (let n = 0; n < count; n += 1) queue.put(waiting(`m-${n % 5}`, n, { due_at: 100, give_up_at: 10_000 + n }))
    const began = performance.now()
    for (let look = 0; look < 20_000; look += 1) {
      queue.advance(look / 1000)
      queue.take(idle)
      queue.next()
    }
    return performance.now() - began
  }
  looksWith(100)
  const [few, many] = [looksWith(100), looksWith(10_000)]
  expect(many).toBeLessThan((few + 20) * 5 * PACE)
})
