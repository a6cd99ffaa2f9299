import { expect, test } from 'vitest'
import { LazarusError } from '../../src/kernel/errors.ts'
import { silentLog } from '../../src/kernel/log.ts'
import type { Announcement, ServiceManager } from '../../src/linux/service-manager.ts'
import { startWatchdog } from '../../src/main/watchdog.ts'

/** A manager that writes down what it hears, and when a count is reached says so. */
function hearing(watchdog_ms: number | null, wanted = Number.POSITIVE_INFINITY) {
  const heard: Announcement[] = []
  const { promise: enough, resolve } = Promise.withResolvers<void>()
  const manager: ServiceManager = {
    watchdog_ms,
    tell: async (announcement) => {
      if (heard.push(announcement) >= wanted) resolve()
    },
  }
  return { manager, heard, enough }
}

/** Resolves when the ledger was asked so often. */
function ledger(asked: number, answer: () => Promise<void>) {
  let times = 0
  const { promise: enough, resolve } = Promise.withResolvers<void>()
  return {
    enough,
    pulse: () => {
      times += 1
      if (times >= asked) resolve()
      return answer()
    },
  }
}

test('while the ledger takes writes, the manager hears of it again and again', async () => {
  const { manager, heard, enough } = hearing(20, 3)
  using _watchdog = startWatchdog(manager, async () => {}, silentLog)
  await enough
  expect(heard).toEqual(['WATCHDOG=1', 'WATCHDOG=1', 'WATCHDOG=1'])
})

test('a ledger that fails keeps it silent; one that never answers is not asked again', async () => {
  const failing = hearing(10)
  const broken = ledger(3, () => Promise.reject(new LazarusError('ledger_unusable', 'torn')))
  using _first = startWatchdog(failing.manager, broken.pulse, silentLog)
  await broken.enough
  expect(failing.heard).toEqual([])

  const hanging = hearing(10)
  let asked = 0
  using _second = startWatchdog(
    hanging.manager,
    () => {
      asked += 1
      return new Promise<void>(() => {})
    },
    silentLog,
  )
  await ledger(3, async () => {}).pulse()
  expect([hanging.heard, asked]).toEqual([[], 1])
})

test('a full disk is no reason to be killed', async () => {
  const { manager, enough } = hearing(10, 2)
  using _watchdog = startWatchdog(manager, () => Promise.reject(new LazarusError('storage_full', 'full')), silentLog)
  await enough
})

test('a manager that does not watch hears nothing, and a pit that stops says nothing more', async () => {
  const { manager, heard } = hearing(null)
  using _watchdog = startWatchdog(manager, () => Promise.reject(new Error('never asked')), silentLog)
  expect(heard).toEqual([])
  const once = hearing(10, 1)
  const watchdog = startWatchdog(once.manager, async () => {}, silentLog)
  await once.enough
  watchdog[Symbol.dispose]()
  expect(once.heard).toEqual(['WATCHDOG=1'])
})
