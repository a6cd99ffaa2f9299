import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Intervals, phi, promised, WINDOW, withInterval } from '../../src/domain/failure-detector.ts'

const ms = fc.double({ min: 1, max: 3_600_000, noNaN: true })
const window = fc.array(ms, { minLength: 1, maxLength: WINDOW })
/** Abramowitz and Stegun 26.2.17, an approximation of the normal tail by other means than the one under test. */
function tail(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z))
  const poly = [0.31938153, -0.356563782, 1.781477937, -1.821255978, 1.330274429].reduceRight(
    (sum, b) => (sum + b) * t,
    0,
  )
  const upper = (poly * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI)
  return z >= 0 ? upper : 1 - upper
}

describe('phi', () => {
  test('never falls while the silence lasts', () => {
    fc.assert(
      fc.property(window, ms, ms, (intervals, a, b) => {
        expect(phi(intervals, Math.max(a, b))).toBeGreaterThanOrEqual(phi(intervals, Math.min(a, b)))
      }),
    )
  })

  test('is a number that can be compared and shown, however long the silence', () => {
    fc.assert(
      fc.property(window, fc.double({ min: 0, max: 1e12, noNaN: true }), (intervals, silence) => {
        const suspicion = phi(intervals, silence)
        expect(Number.isFinite(suspicion)).toBe(true)
        expect(suspicion).toBeGreaterThanOrEqual(0)
      }),
    )
  })

  test('suspects nobody within the longest silence that was seen twice in so small a window', () => {
    fc.assert(
      fc.property(fc.array(ms, { minLength: 2, maxLength: 4 }), (intervals) => {
        const longest = Math.max(...intervals)
        expect(phi([...intervals, longest], longest)).toBeLessThan(2)
      }),
    )
  })

  test('is more patient with an agent that is less regular', () => {
    fc.assert(
      fc.property(
        ms,
        fc.double({ min: 0.2, max: 0.45, noNaN: true }),
        fc.double({ min: 0.5, max: 0.95, noNaN: true }),
        (mean, little, much) => {
          const of = (spread: number): Intervals => [mean * (1 - spread), mean * (1 + spread)]
          expect(phi(of(much), mean * 4)).toBeLessThanOrEqual(phi(of(little), mean * 4) + 1e-9)
        },
      ),
    )
  })

  test('measures in the unit of the agent: ten times slower and ten times longer is the same', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 2000, max: 100_000, noNaN: true }), { minLength: 2, maxLength: 20 }),
        (intervals) => {
          const silence = Math.max(...intervals) * 2
          const slower = phi(
            intervals.map((interval) => interval * 10),
            silence * 10,
          )
          expect(slower).toBeCloseTo(phi(intervals, silence), 6)
        },
      ),
    )
  })

  test.each([-2, -1, 0, 1, 2, 3, 4])('agrees with the tail of the normal distribution at z = %d', (z) => {
    const intervals = [9000, 11_000] // mean 10 s, deviation 1 s
    expect(10 ** -phi(intervals, 10_000 + z * 1000)).toBeCloseTo(tail(z), 3)
  })

  test('crosses 8 for an agent that beats every second after two seconds, not after one and a half', () => {
    const regular = Array.from({ length: 50 }, (_, i) => 1000 + (i % 2 === 0 ? 20 : -20))
    expect(phi(regular, 1500)).toBeLessThan(8)
    expect(phi(regular, 2000)).toBeGreaterThan(8)
  })

  test('has nothing to say without anything to compare with', () => expect(phi([], 1e9)).toBe(0))
  test('gives what was promised room for a delay', () => expect(phi(promised(1000), 1500)).toBeLessThan(3))
})

test('the window keeps the newest intervals', () => {
  fc.assert(
    fc.property(fc.array(ms, { maxLength: 3 * WINDOW }), (all) => {
      expect(all.reduce<Intervals>(withInterval, [])).toEqual(all.slice(-WINDOW))
    }),
  )
})
