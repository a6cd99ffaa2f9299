import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import type { SandboxName } from '../../../src/contract/ids.ts'
import type { SandboxHandle } from '../../../src/contract/seat.ts'
import type { CellDriver, ExecSpec, ExitNotice, Sandbox, SandboxSpec } from '../../../src/ports/cell-driver.ts'
import { PACE } from '../../support/pace.ts'
import type { DriverHarness, DriverSubject, SubjectCapabilities } from '../cell-driver.ts'
import type { SpecChange } from './specs.ts'

export interface Run {
  readonly exit_code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

/** A started seat and the ways in which tests talk to it. */
export interface Cell extends Sandbox {
  readonly spec: SandboxSpec
  run(command: readonly string[], change?: Partial<ExecSpec>, abort?: AbortSignal): Promise<Run>
  sh(script: string, ...args: string[]): Promise<Run>
  log(): Promise<string>
}

export interface Trial {
  readonly can: SubjectCapabilities
  readonly harness: DriverHarness
  readonly driver: CellDriver
  /** Deaths told since the test began, in order. */
  readonly notices: readonly ExitNotice[]
  spec(change?: SpecChange): Promise<SandboxSpec>
  spawn(change?: SpecChange): Promise<Cell>
  /** The seat as a test sees it; also for handles that `list` gave. It is destroyed after the test. */
  seat(spec: SandboxSpec, sandbox: Sandbox): Cell
  exitOf(name: SandboxName): Promise<ExitNotice>
  restart(): Promise<void>
}

/** Forever, on every implementation: also the fake knows it. */
export const STAY = ['sleep', 'infinity'] as const
export const never = new AbortController().signal

/** Waits on a state: resolves with the first value that is neither undefined nor false. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const deadline = performance.now() + 20_000 * PACE
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (performance.now() > deadline) throw new Error(`waited in vain: ${what}`)
    await new Promise((go) => setTimeout(go, 5))
  }
}

export function openTrial(subject: DriverSubject): Trial {
  let harness: DriverHarness
  let driver: CellDriver
  let watch: Disposable
  const handles: SandboxHandle[] = []
  const notices: ExitNotice[] = []
  const use = (next: CellDriver) => {
    driver = next
    watch = next.exits((notice) => notices.push(notice))
  }
  beforeAll(async () => {
    harness = await subject.open()
    use(harness.driver)
  })
  afterEach(async () => {
    harness.failAt(null)
    for (const handle of handles.splice(0)) await driver.destroy(handle)
    notices.length = 0
    const leftovers = await harness.leftovers()
    for (const handle of await driver.list()) await driver.destroy(handle)
    expect(leftovers, 'left behind by this test').toEqual([])
  })
  afterAll(async () => {
    watch?.[Symbol.dispose]()
    await harness?.[Symbol.asyncDispose]()
  })
  return {
    can: subject.can,
    get harness() {
      return harness
    },
    get driver() {
      return driver
    },
    notices,
    spec: (change) => harness.spec(change),
    async spawn(change) {
      const spec = await harness.spec(change)
      return this.seat(spec, await driver.spawn(spec, never))
    },
    seat(spec, sandbox) {
      handles.push(sandbox.handle)
      return makeCell(() => driver, spec, sandbox)
    },
    exitOf: (name) =>
      until(`the end of ${name.agent_id} is told`, () => notices.find((n) => n.name.mission_id === name.mission_id)),
    async restart() {
      watch[Symbol.dispose]()
      use(await harness.restart())
    },
  }
}

function makeCell(driver: () => CellDriver, spec: SandboxSpec, sandbox: Sandbox): Cell {
  const run: Cell['run'] = async (command, change = {}, abort = never) => {
    const output = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] }
    const exec = { command, environment: spec.environment, cwd: spec.cwd, stdin: null, ...change }
    const keep = (stream: 'stdout' | 'stderr', data: Uint8Array) => void output[stream].push(Uint8Array.from(data))
    const outcome = await driver().exec({ handle: sandbox.handle, spec }, exec, keep, abort)
    const text = (parts: Uint8Array[]) => Buffer.concat(parts).toString('latin1')
    return { ...outcome, stdout: text(output.stdout), stderr: text(output.stderr) }
  }
  return {
    ...sandbox,
    spec,
    run,
    sh: (script, ...args) => run(['/bin/sh', '-c', script, 'sh', ...args]),
    log: () => readLog(spec.log_path, driver().capabilities.log_format),
  }
}

/** The whole log with its rotated files, oldest first, without conmon's line heads. */
export async function readLog(path: string, format: 'raw' | 'k8s-file'): Promise<string> {
  const names = (await readdir(dirname(path))).filter((name) => name.startsWith(basename(path)))
  names.sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
  const raw = (await Promise.all(names.map((name) => readFile(join(dirname(path), name), 'latin1')))).join('')
  if (format === 'raw') return raw
  return raw.replace(/^\S+ std(?:out|err) ([FP]) (.*)\n/gm, (_, end, text) => (end === 'F' ? `${text}\n` : text))
}
