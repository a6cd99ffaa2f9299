/** Seals the homes below <root>/home and prints how that ended and what lies in <root>/seals then. */
import { readdirSync } from 'node:fs'
import { createHomeWatch } from '../../src/homes/home-watch.ts'
import { isLazarusError } from '../../src/kernel/errors.ts'
import { silentLog } from '../../src/kernel/log.ts'

const root = process.argv[2]!
const watch = createHomeWatch({
  globs: [`${root}/home/*`],
  exempt: [],
  sealsDir: `${root}/seals`,
  clock: { now: () => Date.now(), monotonic: () => performance.now() },
  entropy: { uuid: () => 'x', token: () => 'aaaaaaaa' },
  log: silentLog,
})
const ended: unknown = await watch.seal({ content: false }, new AbortController().signal).then(
  () => 'sealed',
  (error) => error,
)
console.log(
  JSON.stringify({ code: isLazarusError(ended) ? ended.code : String(ended), left: readdirSync(`${root}/seals`) }),
)
