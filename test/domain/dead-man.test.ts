import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DeadManMemory, Outage } from '../../src/contract/dead-man.ts'
import { heardBy, judge, LOOKS_WITHIN_BOUND, type Look, owed } from '../../src/domain/dead-man.ts'

const AFTER_MS = 300_000
const look = (uptime_s: number, found: Look['found'], over: Partial<Look> = {}): Look => ({
  boot_id: 'boot',
  uptime_ms: uptime_s * 1000,
  at: new Date(uptime_s * 1000).toISOString(),
  found,
  reason: found,
  outage_id: `out_${uptime_s}`,
  ...over,
})

/** Looks one after the other, each with what the one before left; everybody who is owed hears. */
function watch(looks: readonly Look[], ways: Outage['told'] = ['file']) {
  let memory: DeadManMemory | null = null
  return looks.map((one) => {
    const verdict = judge(memory, one, AFTER_MS)
    const { outage } = verdict.memory
    const told = outage === null ? [] : owed(outage, ways)
    memory = { ...verdict.memory, outage: outage && heardBy(outage, told, ways) }
    const event = told.length === 0 ? '' : outage?.over ? ' → back' : ' → dead'
    return `${verdict.status}${event}`
  })
}

describe('one outage is told once, and its end once', () => {
  test('a pit that falls silent and comes back', () => {
    expect(
      watch([
        look(0, 'answered'),
        look(60, 'silent'),
        look(180, 'silent'),
        look(240, 'silent'),
        look(300, 'silent'),
        look(360, 'answered'),
        look(420, 'answered'),
        look(480, 'silent'),
      ]),
    ).toEqual(['alive', 'silent', 'silent', 'dead → dead', 'dead', 'alive → back', 'alive', 'silent'])
  })

  test('a stop is no outage, and ends one', () => {
    expect(watch([look(0, 'answered'), look(600, 'stopped'), look(6000, 'stopped')])).toEqual([
      'alive',
      'stopped',
      'stopped',
    ])
    expect(watch([look(0, 'answered'), look(300, 'silent'), look(400, 'stopped')])).toEqual([
      'alive',
      'dead → dead',
      'stopped → back',
    ])
  })

  test('one that never came up is missed from the first look on', () => {
    expect(watch([look(1000, 'silent'), look(1100, 'silent'), look(1240, 'silent')])).toEqual([
      'silent',
      'silent',
      'dead → dead',
    ])
  })

  test('after a boot silence counts from the first look; an outage goes on', () => {
    const again = { boot_id: 'next' }
    expect(
      watch([
        look(5000, 'answered'),
        look(10, 'silent', again),
        look(200, 'silent', again),
        look(260, 'silent', again),
      ]),
    ).toEqual(['alive', 'silent', 'silent', 'dead → dead'])
    expect(
      watch([look(0, 'answered'), look(300, 'silent'), look(10, 'silent', again), look(60, 'answered', again)]),
    ).toEqual(['alive', 'dead → dead', 'dead', 'alive → back'])
  })

  test('nobody configured: the status tells', () => {
    expect(watch([look(0, 'answered'), look(300, 'silent'), look(360, 'silent'), look(420, 'answered')], [])).toEqual([
      'alive',
      'dead',
      'dead',
      'alive',
    ])
  })
})

test('a way that failed is owed still; one that never heard of the death does not hear of its end', () => {
  const { memory } = judge(judge(null, look(0, 'answered'), AFTER_MS).memory, look(300, 'silent'), AFTER_MS)
  const outage = heardBy(memory.outage!, ['file'], ['file', 'webhook'])!
  expect(owed(outage, ['file', 'webhook'])).toEqual(['webhook'])
  const over = judge({ ...memory, outage }, look(360, 'answered'), AFTER_MS).memory.outage!
  expect(owed(over, ['file', 'webhook'])).toEqual(['file'])
  expect(heardBy(over, [], ['file', 'webhook'])).toEqual(over)
  expect(heardBy(over, ['file'], ['file', 'webhook'])).toBeNull()
})

test('whenever the looks come in time, the alert is raised within the bound and not in its first half', () => {
  const gap = (AFTER_MS / LOOKS_WITHIN_BOUND / 1000) * 0.99
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.01, max: gap, noNaN: true }), { minLength: 600, maxLength: 600 }),
      (gaps) => {
        let at = 0
        const silent = gaps.map((gap_s) => {
          at += gap_s
          return look(at, 'silent')
        })
        const words = watch([look(0, 'answered'), ...silent])
        const raised = words.indexOf('dead → dead')
        if (raised < 0) return at < 300
        const silent_s = silent[raised - 1]!.uptime_ms / 1000
        return silent_s <= 300 && silent_s >= 150
      },
    ),
  )
})
