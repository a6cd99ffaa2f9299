import { readFileSync } from 'node:fs'
import { createBwrapDriver } from '../../../src/drivers/bwrap/bwrap-driver.ts'
import { createUnshareDriver } from '../../../src/drivers/unshare/unshare-driver.ts'
import { silentLog } from '../../../src/kernel/log.ts'
import type { SandboxSpec } from '../../../src/ports/cell-driver.ts'

/**
 * A pit of its own process, for tests that kill it: <level> <driver root> <policies> <spec file> <step to die at>.
 * Spawns the seat, prints its handle, and stays.
 */
const [level, root, policies_dir, specFile, dieAt] = process.argv.slice(2) as [string, string, string, string, string]
const spec = JSON.parse(readFileSync(specFile, 'utf8')) as SandboxSpec
const make = level === 'level_1' ? createUnshareDriver : createBwrapDriver
const driver = make({
  root,
  policies_dir,
  policy: spec.policy,
  cgroups: null,
  clock: { now: () => Date.now(), monotonic: () => performance.now() },
  log: silentLog,
  faults: (step) => {
    if (step === dieAt) process.kill(process.pid, 'SIGKILL')
  },
})
const { handle } = await driver.spawn(spec, new AbortController().signal)
process.stdout.write(`${JSON.stringify(handle)}\n`)
setInterval(() => {}, 1000)
