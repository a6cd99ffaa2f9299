import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HULL_FAILED, type HullSpec, runInHull } from '../../src/linux/hull.ts'
import type { HullMount } from '../../src/linux/mount-table.ts'
import { allPids, namespaceOf } from '../../src/linux/process.ts'

/** Seconds that no other run of this file sleeps. */
const MARK = 100_000 + process.pid

let root: string
let runs = 0

beforeAll(async () => {
  root = await mkdtemp('/var/tmp/lazarus-hull-')
})
afterAll(() => rm(root, { recursive: true, force: true }))

const MOUNTS: readonly HullMount[] = [
  { kind: 'bind', source: '/usr', target: '/usr', read_only: true, recursive: true },
  { kind: 'tmpfs', target: '/tmp', options: 'size=1m,mode=1777' },
  { kind: 'proc', target: '/proc' },
  { kind: 'device', target: '/dev/null' },
  { kind: 'device', target: '/dev/zero' },
]

async function hull(script: string, change: Partial<HullSpec> = {}): Promise<HullSpec> {
  runs += 1
  const run_dir = join(root, String(runs))
  await mkdir(run_dir)
  return {
    run_dir,
    mounts: MOUNTS,
    symlinks: { '/bin': 'usr/bin', '/lib': 'usr/lib', '/lib64': 'usr/lib64', '/sbin': 'usr/sbin' },
    network: 'own',
    rlimits: {},
    environment: {},
    command: ['/bin/sh', '-c', script],
    ...change,
  }
}

const output = async (script: string, change?: Partial<HullSpec>) =>
  (await runInHull(await hull(script, change))).stdout.toString()

describe('hull', () => {
  it('shows the given mounts and nothing else of the host', async () => {
    expect(await output('ls -A /; ls /.old')).toBe('.old\nbin\ndev\nlib\nlib64\nproc\nsbin\ntmp\nusr\n')
  })

  it('is read-only but for what is mounted writable, submounts of the host included', async () => {
    const script =
      'for d in / /usr /usr/bin /sys /sys/fs /dev /tmp; do touch $d/x 2>/dev/null && echo $d; done; grep -c " /sys" /proc/self/mountinfo'
    const sys: HullMount = { kind: 'bind', source: '/sys', target: '/sys', read_only: true, recursive: true }
    const [written, submounts] = (await output(script, { mounts: [...MOUNTS, sys] })).split('\n')
    expect(written).toBe('/tmp')
    expect(Number(submounts)).toBeGreaterThanOrEqual(1)
    const flags = await output('grep " /sys" /proc/self/mountinfo', { mounts: [...MOUNTS, sys] })
    const last = new Map(
      flags
        .trim()
        .split('\n')
        .map((line) => [line.split(' ')[4], line.split(' ')[5]]),
    )
    for (const [target, options] of last) expect(`${target} ${options}`).toMatch(/ ro,/)
  })

  it('has namespaces of its own, as uid 0 of the user namespace', async () => {
    const inside = await output('id -u; for n in user mnt pid ipc uts net cgroup; do readlink /proc/self/ns/$n; done')
    const [uid, ...namespaces] = inside.trim().split('\n')
    expect(uid).toBe('0')
    const own = ['user', 'mnt', 'pid', 'ipc', 'uts', 'net', 'cgroup'].map((kind) => namespaceOf('self', kind))
    expect(namespaces.filter((name) => own.includes(name))).toEqual([])
  })

  it('has a loopback that is up', async () => {
    expect(await output('grep -c 127.0.0.1 /proc/net/fib_trie')).not.toBe('0\n')
  })

  it('sets the limits', async () => {
    const rlimits = { nproc: 33, nofile: 44, fsize: 1024 * 1024, core: 0 }
    const limits = await output('grep -E "processes|open files|file size" /proc/self/limits | tr -s " "', { rlimits })
    expect(limits).toContain('Max processes 33 33')
    expect(limits).toContain('Max open files 44 44')
    expect(limits).toContain('Max file size 1048576 1048576')
    expect(limits).toContain('Max core file size 0 0')
  })

  it('fails as a whole when one mount fails', async () => {
    const gone = join(root, 'soon-gone')
    await mkdir(gone)
    const spec = await hull('echo ran', {
      mounts: [...MOUNTS, { kind: 'overlay', target: '/w', lowers: [gone], upper: '/proc/none', work: '/proc/none' }],
    })
    const failed = await runInHull(spec)
    await rmdir(gone)
    expect(failed).toMatchObject({ exit_code: HULL_FAILED, stdout: Buffer.alloc(0) })
    expect(failed.stderr).toMatch(/could not be made whole: mount: overlay|could not be made whole: mount: .*\/w/)
  })

  it('names a source that does not exist', async () => {
    const mounts: HullMount[] = [{ kind: 'bind', source: '/no/such', target: '/x', read_only: true }]
    await expect(runInHull(await hull('true', { mounts }))).rejects.toThrow('/no/such')
  })

  it('hands on exit codes, stdin and streams', async () => {
    expect((await runInHull(await hull('exit 7'))).exit_code).toBe(7)
    const chunks: string[] = []
    const echoed = await runInHull(await hull('cat'), {
      stdin: Buffer.from('in'),
      on_stdout: (chunk) => void chunks.push(String(chunk)),
    })
    expect(echoed.exit_code).toBe(0)
    expect(chunks.join('')).toBe('in')
  })

  it('ends whole by timeout, abort and overflow', async () => {
    const daemon = `setsid sh -c "sleep ${MARK} & sleep ${MARK}" & sleep ${MARK}`
    expect(await runInHull(await hull(daemon), { timeout_ms: 200 })).toMatchObject({ ended: 'timeout' })
    const abort = new AbortController()
    const running = runInHull(await hull(`echo up; ${daemon}`), { abort: abort.signal, on_stdout: () => abort.abort() })
    expect(await running).toMatchObject({ ended: 'abort' })
    expect(await runInHull(await hull('cat /dev/zero'), { max_stdout_bytes: 10_000 })).toMatchObject({
      ended: 'overflow',
    })
    await expect.poll(() => allPids().filter((pid) => commandOf(pid).startsWith(`sleep\0${MARK}`))).toEqual([])
  })

  it('takes along what its command leaves behind', async () => {
    expect((await runInHull(await hull(`setsid sleep ${MARK} & exit 3`))).exit_code).toBe(3)
    await expect.poll(() => allPids().filter((pid) => commandOf(pid).startsWith(`sleep\0${MARK}`))).toEqual([])
  })
})

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}
