import { createMemoryLog } from '../../src/store/memory-log.ts'
import { eventLogConformance } from '../conformance/event-log.ts'

eventLogConformance('in memory', false, async () => {
  const log = createMemoryLog({ clock: { now: () => 1_700_000_000_000, monotonic: () => 0 } })
  return { log, dispose: () => log.close() }
})
