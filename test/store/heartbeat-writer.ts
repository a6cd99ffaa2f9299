import { newcomer } from '../../src/domain/health.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { createHeartbeatStore } from '../../src/store/heartbeat-store.ts'

/** Puts numbered heartbeats of eight agents until it is killed, and prints each number once it is acknowledged. */
const store = createHeartbeatStore({ path: process.argv[2]!, log: silentLog })
await Promise.all(
  Array.from({ length: 8 }, async (_, agent) => {
    for (let beat = 1; ; beat++) {
      await store.put({ ...newcomer(`agent-${agent}`, null), last_heartbeat: beat })
      process.stdout.write(`${agent} ${beat}\n`)
    }
  }),
)
