import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { laySkeleton, tableFor } from '../../src/linux/hull.ts'
import { type HullRun, HullRunner } from '../../src/linux/hull-runner.ts'
import type { HullMount } from '../../src/linux/mount-table.ts'
import { allPids, childrenOf, commandLine, sendSignal } from '../../src/linux/process.ts'

/** Seconds that no other run of this file sleeps. */
const MARK = 200_000 + process.pid

const MOUNTS: readonly HullMount[] = [
  { kind: 'bind', source: '/usr', target: '/usr', read_only: true, recursive: true },
  { kind: 'proc', target: '/proc' },
  { kind: 'device', target: '/dev/null' },
  { kind: 'device', target: '/dev/zero' },
]

let root: string
let runner: HullRunner
beforeAll(async () => {
  root = await mkdtemp('/var/tmp/lazarus-hull-runner-')
  runner = new HullRunner(join(root, 'fifos'))
  await mkdir(join(root, 'hull'))
  const symlinks = { '/bin': 'usr/bin', '/lib': 'usr/lib', '/lib64': 'usr/lib64', '/sbin': 'usr/sbin' }
  laySkeleton(join(root, 'hull'), { mounts: MOUNTS, symlinks })
})
afterAll(() => rm(root, { recursive: true, force: true }))

const hull = (script: string, change: Partial<HullRun> = {}): HullRun => ({
  cwd: join(root, 'hull'),
  table: tableFor(join(root, 'hull'), MOUNTS),
  network: 'none',
  rlimits: { nofile: 64 },
  command: ['/bin/sh', '-c', script],
  environment: { PATH: '/usr/bin:/bin' },
  ...change,
})

const sleepers = () => allPids().filter((pid) => commandLine(pid).startsWith(`sleep\0${MARK}`))
const coprocesses = () => childrenOf(process.pid).filter((pid) => commandLine(pid).includes('hull-runner.pl'))

describe('hull runner', () => {
  it('hands on input, output, errors, environment and exit code, and leaves no fifo', async () => {
    const environment = { PATH: '/usr/bin:/bin', TEXT: "two\nlines 'quoted' $HOME" }
    const script = 'cat; echo "$TEXT|$LANG|$(ulimit -n)"; echo wrong >&2; exit 7'
    const done = await runner.run(hull(script, { environment }), { stdin: Buffer.from('in\n') })
    expect(done).toMatchObject({ exit_code: 7, signal: null, stderr: 'wrong\n', ended: 'exit' })
    expect(done.stdout.toString()).toBe("in\ntwo\nlines 'quoted' $HOME||64\n")
    expect(await readdir(join(root, 'fifos'))).toEqual([])
  })

  it('runs many side by side, none of which sees another', async () => {
    const runs = Array.from({ length: 20 }, (_, n) => runner.run(hull(`echo $$ ${n}; ls /proc | grep -c '^[0-9]'`), {}))
    const said = (await Promise.all(runs)).map(({ stdout }) => stdout.toString())
    expect(said).toEqual(Array.from({ length: 20 }, (_, n) => expect.stringMatching(new RegExp(`^2 ${n}\n[34]\n$`))))
    expect(coprocesses()).toHaveLength(1)
  })

  it('takes much output in large pieces, at the pace of who takes it', async () => {
    const sizes: number[] = []
    const take = async (chunk: Uint8Array) => {
      sizes.push(chunk.length)
      await new Promise((go) => setImmediate(go))
    }
    const done = await runner.run(hull('head -c 20000000 /dev/zero'), { on_stdout: take })
    expect(done).toMatchObject({ exit_code: 0, ended: 'exit' })
    expect(sizes.reduce((a, b) => a + b)).toBe(20_000_000)
    expect(Math.max(...sizes)).toBeGreaterThan(65_536)
  })

  it('does not wait for input that nobody reads', async () => {
    async function* endless() {
      for (;;) yield Buffer.alloc(65_536)
    }
    expect(await runner.run(hull('exit 3'), { stdin: endless() })).toMatchObject({ exit_code: 3 })
  })

  it('ends a hull whole by timeout, abort and overflow', async () => {
    const script = `setsid sleep ${MARK} & echo up; sleep ${MARK}`
    expect(await runner.run(hull(script), { timeout_ms: 100 })).toMatchObject({ ended: 'timeout', signal: 'SIGKILL' })
    const abort = new AbortController()
    const aborted = runner.run(hull(script), { abort: abort.signal, on_stdout: () => abort.abort() })
    expect(await aborted).toMatchObject({ ended: 'abort' })
    expect(await runner.run(hull('cat /dev/zero'), { max_stdout_bytes: 10_000 })).toMatchObject({ ended: 'overflow' })
    await expect.poll(sleepers).toEqual([])
  })

  it('says what could not be made', async () => {
    const torn = await runner.run(hull('true', { table: '/no/such /no/such none bind 0 0\n' }), {})
    expect(torn).toMatchObject({ exit_code: 125, stderr: expect.stringContaining('/no/such') })
    await expect(runner.run(hull('true', { cwd: '/no/such' }), {})).rejects.toMatchObject({
      code: 'runtime_failed',
      message: expect.stringContaining('/no/such'),
    })
  })

  it('fails what runs when its process is killed, and starts another for the next', async () => {
    const running = runner.run(hull(`echo up; sleep ${MARK}`), { on_stdout: () => void killCoprocess() })
    await expect(running).rejects.toMatchObject({ code: 'runtime_failed' })
    expect(await runner.run(hull('echo again'), {})).toMatchObject({ exit_code: 0 })
    expect(coprocesses()).toHaveLength(1)
    await expect.poll(sleepers).toEqual([])
  })
})

function killCoprocess(): void {
  for (const pid of coprocesses()) sendSignal(pid, 'SIGKILL')
}
