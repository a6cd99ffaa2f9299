/** A process of its own that appends as fast as it can, 16 appends in flight, and prints each acknowledged count. */
import { writeSync } from 'node:fs'
import { isLazarusError } from '../../src/kernel/errors.ts'
import { createSqliteLog } from '../../src/store/sqlite-log.ts'

const clock = { now: () => Date.now(), monotonic: () => performance.now() }
const mission_id = '0b6c9b0e-6c1c-4a51-9a55-3f7a0d9b2d01'
const log = createSqliteLog({ path: process.argv[2]!, clock })
// Synchronous, so that a line that was printed had been acknowledged, and no acknowledged line waits in a buffer.
const print = (line: string | number) => writeSync(1, `${line}\n`)
print('opened')

const append = (n: number) =>
  log.append(mission_id, n, [
    { type: 'collected', agent_id: 'builder', data: { head: 'f', outcome: 'delivered', commits: n } },
  ])

let next = log.head()
let acknowledged = next
try {
  for (;;) {
    const flight = Array.from({ length: 16 }, () => append(next++).then(() => print(++acknowledged)))
    const failure = (await Promise.allSettled(flight)).find((outcome) => outcome.status === 'rejected')
    if (failure) throw failure.reason
  }
} catch (error) {
  print(`${isLazarusError(error) ? error.code : error}, then read ${[...log.read()].length}`)
  await log.close()
}
