import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Machine } from './machine.ts'
import { type Phase, phases } from './phases.ts'
import { type Count, sum } from './tally.ts'

const usage = `usage: npm run test:vm -- [options]
  --cold             a machine with nothing but git, bash, node and npm: bin/setup does all of it there
  --changed          the checkout as it lies here, not as HEAD has it
  --only PHASE       ${phases.map((phase) => phase.name).join(', ')}; may be repeated
  --timeout MINUTES  for all of it (90)
  --shell            boots, prints how to log in, and waits to be interrupted`

const { values: options } = parseArgs({
  options: {
    cache: { type: 'string' },
    cold: { type: 'boolean', default: false },
    changed: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    timeout: { type: 'string', default: '90' },
    shell: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

const began = performance.now()
function tell(line: string): void {
  const minutes = Math.floor((performance.now() - began) / 60_000)
  const seconds = Math.floor((performance.now() - began) / 1000) % 60
  process.stderr.write(`${String(minutes).padStart(3)}:${String(seconds).padStart(2, '0')}  ${line}\n`)
}

async function runPhase(machine: Machine, phase: Phase, out: string, abort: AbortSignal): Promise<Count> {
  tell(`${phase.name}: ${phase.script}`)
  const log = join(out, `${phase.name}.log`)
  const report = join(out, `${phase.name}.json`)
  const pace = machine.accelerator === 'tcg' ? 30 : 1
  const before = `rm -f ~/report.json; export LAZARUS_TEST_PACE=${pace}; cd ~/lazarus-pit`
  const exitCode = await machine.run(`${before} && ${phase.script}`, log, abort)
  const fetched = await machine.fetch('cat report.json', report, abort)
  const count = phase.count({
    log: readFileSync(log, 'utf8'),
    report: fetched ? readFileSync(report, 'utf8') : null,
    exitCode,
  })
  if (!fetched) rmSync(report, { force: true })
  tell(
    `${phase.name}: ${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped${count.failed ? `; see ${log}` : ''}`,
  )
  return count
}

/** A script beside this file; resolves with what it printed. Ended with everything that it started. */
function script(abort: AbortSignal, name: string, ...args: string[]): Promise<string> {
  const child = spawn(join(import.meta.dirname, name), args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  const end = () => process.kill(-(child.pid as number), 'SIGTERM')
  abort.addEventListener('abort', end, { once: true })
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    printed += text
  })
  return new Promise((done, fail) => {
    child.once('error', fail)
    child.once('close', (code) => {
      abort.removeEventListener('abort', end)
      if (code === 0) done(printed.trim())
      else fail(new Error(`test/vm/${name} failed`))
    })
  })
}

/** Counts as it goes, so that a run that is cut short still tells what it saw. */
async function main(counts: Count[], abort: AbortSignal): Promise<void> {
  const cache = options.cache as string
  const out = join(cache, 'last-run')
  rmSync(out, { recursive: true, force: true })
  mkdirSync(out, { mode: 0o700 })
  const warm = options.cold ? [] : ['--warm']
  const image = await script(abort, 'image', cache, ...warm)
  const seed = join(out, 'seed.tar')
  await script(abort, 'seed', seed, cache, ...warm, ...(options.changed ? ['--changed'] : []))
  tell(`boots ${image}`)
  await using machine = await Machine.boot({ image, seed, out }, abort, tell)
  tell(`logged in (${machine.accelerator})`)
  await must(machine, out, 'unpack', 'sudo cat /dev/vdb | tar -x -C ~ && ~/lazarus-pit/test/vm/guest/prepare', abort)

  if (options.shell) {
    process.stdout.write(`${machine.login}\n`)
    return await machine.stays(abort) // awaited, so that the machine is there until then
  }
  const chosen = phases.filter((phase) => !options.only || options.only.includes(phase.name))
  for (const phase of chosen) counts.push(await runPhase(machine, phase, out, abort))
  await keepCellImage(machine, cache, abort)
}

async function must(machine: Machine, out: string, name: string, script: string, abort: AbortSignal): Promise<void> {
  tell(name)
  const log = join(out, `${name}.log`)
  if ((await machine.run(`set -euo pipefail; ${script}`, log, abort)) !== 0)
    throw new Error(`${name} failed; see ${log}`)
}

/** What took a quarter of an hour to build emulated is handed to the next machine. */
async function keepCellImage(machine: Machine, cache: string, abort: AbortSignal): Promise<void> {
  const tagFile = join(cache, 'last-run', 'cell-image-tag')
  if (!(await machine.fetch('~/lazarus-pit/images/cell/tag', tagFile, abort))) return
  const tag = readFileSync(tagFile, 'utf8').trim()
  const name = `cell-image-${tag.slice(tag.indexOf(':') + 1)}.tar`
  if (existsSync(join(cache, name))) return
  tell(`keeps ${tag} for the next machine`)
  const part = join(cache, 'last-run', name)
  if (!(await machine.fetch(`podman save --quiet ${tag}`, part, abort))) return
  for (const old of readdirSync(cache).filter((file) => file.startsWith('cell-image-'))) rmSync(join(cache, old))
  renameSync(part, join(cache, name))
}

if (options.help) {
  process.stdout.write(`${usage}\n`)
} else {
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => interrupted.abort(new Error(`ended by ${signal}`)))
  }
  const deadline = AbortSignal.timeout(Number(options.timeout) * 60_000)
  const counts: Count[] = []
  try {
    await main(counts, AbortSignal.any([interrupted.signal, deadline]))
  } catch (cause) {
    tell(deadline.aborted ? `not done after ${options.timeout} minutes` : String(cause))
    counts.push({ passed: 0, failed: 1, skipped: 0 })
  }
  const { passed, failed, skipped } = sum(counts)
  process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`)
  process.exitCode = failed > 0 ? 1 : 0
}
