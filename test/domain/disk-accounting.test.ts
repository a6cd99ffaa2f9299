import { describe, expect, it } from 'vitest'
import { type Account, nextLook, restMs } from '../../src/domain/disk-accounting.ts'

const MIB = 1024 ** 2
const account = (key: string, look: Account['look'] = { bytes: 0, at: 0, written: 0 }, limit = 100 * MIB): Account => ({
  key,
  limit,
  look,
})
const next = (accounts: readonly Account[], written: number, now: number) => nextLook(accounts, written, now)?.key

describe('the next seat to be measured', () => {
  it('is one that was never looked at', () => {
    expect(next([account('known'), account('new', null)], 0, 0)).toBe('new')
    expect(next([], 0, 0)).toBeUndefined()
  })

  it('is nobody while too little was written for any to have passed half of what remains', () => {
    const seats = [account('roomy'), account('tight', { bytes: 90 * MIB, at: 0, written: 0 })]
    expect(next(seats, 4 * MIB, 9000)).toBeUndefined()
    expect(next(seats, 5 * MIB, 9000)).toBe('tight')
    expect(next(seats, 50 * MIB, 9000)).toBe('tight')
    expect(next([seats[0]!], 50 * MIB, 9000)).toBe('roomy')
  })

  it('is the most suspicious first, also before one that was never looked at', () => {
    const seats = [account('new', null), account('tight', { bytes: 90 * MIB, at: 0, written: 0 })]
    expect(next(seats, 9 * MIB, 9000)).toBe('tight')
  })

  it('is not the same again at once, not even one that is over its limit', () => {
    const over = account('over', { bytes: 200 * MIB, at: 1000, written: MIB })
    expect(next([over], 9 * MIB, 5999)).toBeUndefined()
    expect(next([over], 9 * MIB, 6000)).toBe('over')
  })

  it('waits longer after a large tree', () => {
    expect([restMs(10) < 3000, restMs(1_000_000) > 300_000]).toEqual([true, true])
  })

  it('is everybody now and then: what one frees hides what another writes', () => {
    expect(next([account('hidden')], 0, 599_999)).toBeUndefined()
    expect(next([account('hidden')], 0, 600_000)).toBe('hidden')
  })
})
