import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GroupCommit } from '../../src/store/group-commit.ts'

describe('group commit', () => {
  it('puts what one turn of the event loop asks for into one batch', async () => {
    const batches: number[][] = []
    const group = new GroupCommit<number, number>((batch) => {
      batches.push([...batch])
      return batch.map((n) => ({ ok: true, result: n * 2 }))
    })
    expect(await Promise.all([1, 2, 3].map((n) => group.submit(n)))).toEqual([2, 4, 6])
    expect(await group.submit(4)).toBe(8)
    expect(batches).toEqual([[1, 2, 3], [4]])
  })

  it('waits while turns of the event loop bring more, and not for ever', async () => {
    const batches: number[] = []
    const group = new GroupCommit<number, void>((batch) => {
      batches.push(batch.length)
      return batch.map(() => ({ ok: true, result: undefined }))
    })
    const streams = async (requests: number) => {
      const answers: Promise<void>[] = []
      for (let n = 0; n < requests; n++) {
        answers.push(group.submit(n))
        await new Promise((resolve) => setImmediate(resolve))
      }
      await Promise.all(answers)
      return batches.splice(0)
    }
    expect(await streams(3)).toEqual([3])
    const many = await streams(100)
    expect(many.reduce((a, b) => a + b)).toBe(100)
    expect(Math.max(...many)).toBeLessThan(20)
    expect(many.length).toBeLessThan(50)
  })

  it('gives every request its own outcome, in order, whatever the sizes and failures', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { maxLength: 2500 }), async (oks) => {
        const seen: number[] = []
        const group = new GroupCommit<number, number>((batch) => {
          seen.push(...batch)
          return batch.map((i) => (oks[i] ? { ok: true, result: i } : { ok: false, error: i }))
        })
        const outcomes = await Promise.allSettled(oks.map((_, i) => group.submit(i)))
        expect(seen).toEqual(oks.map((_, i) => i))
        outcomes.forEach((outcome, i) => {
          expect(outcome).toEqual(oks[i] ? { status: 'fulfilled', value: i } : { status: 'rejected', reason: i })
        })
      }),
      { numRuns: 20 },
    )
  })
})
