import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { shimArgv } from '../../../src/drivers/shared/scripts.ts'
import { runInHull } from '../../../src/linux/hull.ts'
import type { HullMount } from '../../../src/linux/mount-table.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp('/var/tmp/lazarus-shim-')
})
afterAll(() => rm(root, { recursive: true, force: true }))

const MOUNTS: readonly HullMount[] = [
  { kind: 'bind', source: '/usr', target: '/usr', read_only: true, recursive: true },
  { kind: 'tmpfs', target: '/full', options: 'size=64k,mode=700' },
  { kind: 'tmpfs', target: '/tmp', options: 'size=1m,mode=700' },
  { kind: 'proc', target: '/proc' },
  { kind: 'device', target: '/dev/null' },
]

/** Gives the shim its log pipe on 1 and 5, as the driver does, and prints the exit record and what is left of the log. */
const HARNESS = `mkfifo /tmp/log
: >/tmp/log &
exec 5</tmp/log
( exec 3>/dev/null >/tmp/log 2>&1; exec "$@" )
exec 5<&-
while ! grep -q ' ' /tmp/exit; do :; done
cat /tmp/exit
tail -c 12 /full/log 2>/dev/null
ls /full`

async function shim(max_bytes: number, files: number, script: string): Promise<string> {
  const hull = ['/bin/sh', '-c', script]
  const argv = shimArgv(
    { exit_record: '/tmp/exit', log_path: '/full/log', log: { max_bytes, files }, cgroup: null },
    hull,
  )
  const done = await runInHull({
    run_dir: await mkdtemp(join(root, 'run-')),
    mounts: MOUNTS,
    symlinks: { '/bin': 'usr/bin', '/lib': 'usr/lib', '/lib64': 'usr/lib64', '/sbin': 'usr/sbin' },
    network: 'own',
    rlimits: {},
    environment: {},
    command: ['/bin/sh', '-c', HARNESS, 'harness', ...argv],
  })
  return done.stdout.toString()
}

describe('shim of level_1 and level_2', () => {
  it('keeps the newest lines in the given number of files', async () => {
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
    expect(await shim(8192, 3, 'seq 1 20000')).toBe(`\n ${boot}\n19999\n20000\nlog\nlog.1\nlog.2\n`)
    expect((await shim(8192, 1, 'seq 1 20000')).trim().split('\n').slice(-2)).toEqual(['20000', 'log'])
  })

  it('on a full disk loses lines, but neither blocks the agent nor loses its end', async () => {
    expect(await shim(1024 * 1024, 3, 'seq 1 200000')).toMatch(/^\n \S+\n/)
  })
})
