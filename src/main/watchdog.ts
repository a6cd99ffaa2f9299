import { asLazarusError } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { ServiceManager } from '../linux/service-manager.ts'

/**
 * Tells the manager twice within its bound that the pit works: that the event loop comes round (this runs) and that the
 * ledger takes a durable write and gives it back. A ledger that fails or never answers keeps it silent, and the manager
 * starts the pit anew. A full disk does not: a new start would free nothing.
 */
export function startWatchdog(manager: ServiceManager, pulse: () => Promise<void>, log: Log): Disposable {
  const { watchdog_ms } = manager
  if (watchdog_ms === null) return { [Symbol.dispose]() {} }
  let timer: NodeJS.Timeout | null = null
  let stopped = false
  const look = async () => {
    if (await isSound(pulse, log)) await manager.tell('WATCHDOG=1')
    if (!stopped) timer = setTimeout(look, watchdog_ms / 2).unref()
  }
  void look()
  return {
    [Symbol.dispose]() {
      stopped = true
      if (timer) clearTimeout(timer)
    },
  }
}

async function isSound(pulse: () => Promise<void>, log: Log): Promise<boolean> {
  try {
    await pulse()
    return true
  } catch (error) {
    const { code, message } = asLazarusError(error)
    log.error({ code, message }, 'the ledger does not take a write')
    return code === 'storage_full'
  }
}
