import { appendFileSync, readFileSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { compose } from '../../src/main/compose.ts'
import { createLogger } from '../../src/main/logger.ts'
import { readSettings } from '../../src/main/settings.ts'

/**
 * The real pit with nothing in its place, but that it can be made to die: before the step that the file `dies-at` names,
 * it kills itself as a power cut would, by SIGKILL. Every step that it passes stands in `steps`. An event that became
 * durable is a step too, named `event <type>`; `*` is any step. `swap_layer#2` lets two of them pass first.
 */
const { LAZARUS_TEST_FAULTS: directory = '', ...environment } = process.env
let armed = ''
let left = 0

function passes(step: string): void {
  appendFileSync(join(directory, 'steps'), `${step}\n`)
  const asked = read()
  const [point, count = '0'] = asked.split('#')
  if (asked !== armed) [armed, left] = [asked, Number(count)]
  if (point !== step && point !== '*') return
  if (left === 0) process.kill(process.pid, 'SIGKILL')
  left -= 1
}

function read(): string {
  try {
    return readFileSync(join(directory, 'dies-at'), 'utf8')
  } catch {
    return ''
  }
}

const log = createLogger('warn', join(directory, 'log'))
const running = await compose(readSettings(environment), log, passes)
const stop = new AbortController()
process.once('SIGTERM', () => {
  stop.abort()
  void running[Symbol.asyncDispose]()
})
const after = running.pit.readEvents({}).at(-1)?.seq ?? 0
flushCompileCache() // it never ends in peace
process.stdout.write(`${JSON.stringify(running.listening)}\n`)
for await (const { type } of running.pit.followEvents({ after }, stop.signal)) passes(`event ${type}`)
