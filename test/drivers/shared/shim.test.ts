import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runInHull } from '../../../src/linux/hull.ts'
import type { HullMount } from '../../../src/linux/mount-table.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp('/var/tmp/lazarus-shim-')
})
afterAll(() => rm(root, { recursive: true, force: true }))

const MOUNTS: readonly HullMount[] = [
  { kind: 'bind', source: '/usr', target: '/usr', read_only: true, recursive: true },
  { kind: 'bind', source: fileURLToPath(new URL('../../../src', import.meta.url)), target: '/src', read_only: true },
  { kind: 'tmpfs', target: '/full', options: 'size=64k,mode=700' },
  { kind: 'tmpfs', target: '/tmp', options: 'size=1m,mode=700' },
  { kind: 'proc', target: '/proc' },
  { kind: 'device', target: '/dev/null' },
]

/** The root of the shim's own hull, inside the one that stands for the host. */
const TABLE = `/tmp/root /tmp/root none bind,ro,nosuid,nodev 0 0
/usr /tmp/root/usr none bind,ro,nosuid,nodev 0 0
proc /tmp/root/proc proc nosuid,nodev,noexec 0 0
`

/** Asks a launcher for one sandbox, and prints the exit record and what is left of the log. */
const HARNESS = `mkdir -p /tmp/root/usr /tmp/root/proc /tmp/root/.old
ln -s usr/bin /tmp/root/bin; ln -s usr/lib /tmp/root/lib; ln -s usr/lib64 /tmp/root/lib64
arch=$1
shift
printf '%s\\0' $# "$@" | perl -w /src/drivers/shared/shim.pl "$arch" /src/linux/hull.pl /src/linux/coprocess.pl >/tmp/answer
while ! grep -q ' ' /tmp/exit; do :; done
cat /tmp/exit
tail -c 12 /full/log 2>/dev/null
ls /full
cat /tmp/report`

interface Change {
  readonly environment?: readonly string[]
  readonly table?: string
}

async function shim(max_bytes: number, files: number, script: string, change: Change = {}): Promise<string> {
  const { environment = [], table = TABLE } = change
  const log = ['/tmp/exit', '/full/log', String(max_bytes), String(files)]
  const request = ['1', 'sandbox', '/tmp/root', table, 'none', 'core:0', '', ...log, '/tmp/report', '/dev/null', '']
  const fields = [...request, String(environment.length), ...environment, '/bin/sh', '-c', script]
  const done = await runInHull({
    run_dir: await mkdtemp(join(root, 'run-')),
    mounts: MOUNTS,
    symlinks: { '/bin': 'usr/bin', '/lib': 'usr/lib', '/lib64': 'usr/lib64', '/sbin': 'usr/sbin' },
    network: 'own',
    rlimits: {},
    environment: {},
    command: ['/bin/sh', '-c', HARNESS, 'harness', process.arch, ...fields],
  })
  return done.stdout.toString()
}

describe('shim of level_1 and level_2', () => {
  it('keeps the newest lines in the given number of files', async () => {
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
    expect(await shim(8192, 3, 'seq 1 20000')).toBe(`\n0 ${boot} alone\n19999\n20000\nlog\nlog.1\nlog.2\n`)
    expect((await shim(8192, 1, 'seq 1 20000')).trim().split('\n').slice(-2)).toEqual(['20000', 'log'])
  })

  it('on a full disk loses lines, but neither blocks the agent nor loses its end', async () => {
    expect(await shim(1024 * 1024, 3, 'seq 1 200000; exit 7')).toMatch(/^\n7 \S+ alone\n/)
  })

  it('hands on the environment as it is', async () => {
    const environment = ['ONE=a=b c', 'MANY=two\nlines']
    expect(await shim(8192, 2, 'printf "%s|%s" "$MANY" "$ONE" >&3', { environment })).toMatch(/\ntwo\nlines\|a=b c$/)
  })

  it('says on the report what of the hull could not be made, and runs nothing', async () => {
    const said = await shim(8192, 2, 'echo ran', { table: TABLE.replace('/usr /tmp', '/no/such /tmp') })
    expect(said).toMatch(/\n \S+\nlog\nhull: could not be made whole: mount: \/no\/such at .*: No such file/)
  })
})
