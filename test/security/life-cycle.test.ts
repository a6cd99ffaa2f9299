import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { allPids } from '../../src/linux/process.ts'
import { run } from '../../src/linux/run.ts'
import { PACE } from '../support/pace.ts'
import { numberOf } from './numbers.ts'
import { LEVELS, type Level, manifest, Stage } from './stage.ts'

let stage: Stage
let before: string[]
beforeAll(async () => {
  stage = await Stage.open()
  before = manifest(stage.pit.homesDir)
})
afterAll(() => stage?.[Symbol.asyncDispose]())

const readProc = (pid: number, file: string): string => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    return ''
  }
}

/** Processes that bear the mark on their command line, or that hold a place of this pit in their mount table. */
const processesWith = (mark: string): number[] =>
  allPids().filter(
    (pid) =>
      pid !== process.pid &&
      pid !== stage.pit.pid &&
      (readProc(pid, 'cmdline').includes(mark) || readProc(pid, 'mountinfo').includes(mark)),
  )

const containers = (mission_id: string): string =>
  execFileSync('podman', ['ps', '--all', '--quiet', '--filter', `label=lazarus.mission=${mission_id}`], {
    encoding: 'utf8',
  })

const missionsLeft = (): string[] => readdirSync(join(stage.pit.stateDir, 'missions'))

/** Everything on the host that a mission could leave; the trash and the ledger keep what they shall keep. */
function leftOf(mission_id: string): unknown {
  const state = readdirSync(stage.pit.stateDir, { recursive: true, encoding: 'utf8' }).filter(
    (path) => path.includes(mission_id) && !path.startsWith('trash'),
  )
  return {
    processes: processesWith(mission_id),
    containers: containers(mission_id),
    state,
    sockets: readFileSync('/proc/net/unix', 'utf8').includes(mission_id),
  }
}
const NOTHING = { processes: [], containers: '', state: [], sockets: false }

/** Leaves in every way: a session of its own, two forks, deaf ears, stopped children, children that nobody buries. */
const STUBBORN = `$SIG{$_} = "IGNORE" for qw(TERM INT HUP QUIT USR1 USR2 PIPE); use POSIX ();
for my $kind (1 .. 8) { next if fork; POSIX::setsid() if $kind % 2; if ($kind > 4) { exit if fork; POSIX::setsid() }
  if (!fork) { kill 19, $$ if $kind % 3 == 0; while (1) { sleep 4711 } }
  while (1) { sleep 4711 } }
for (1 .. 20) { exit if !fork }
open(my $up, ">", "$ARGV[0]/up"); close $up; while (1) { sleep 4711 }`

describe.each(LEVELS)('destroy at %s', (level) => {
  it('ends whatever left, ignores, stands still, or holds the pipe of an exec', async () => {
    const mission = await stage.mission(level)
    const eve = await mission.seat('eve', { command: ['perl', '-e', STUBBORN, '/artifacts'] })
    await eve.sh('while ! [ -e /artifacts/up ]; do :; done')
    const begun = await eve.sh('echo begun; perl -e "$1" /tmp & (setsid sleep 4711 &); exit 3', STUBBORN)
    expect(begun).toMatchObject({ stdout: 'begun\n', exit_code: 3 })
    const hanging = stage.call('POST', `${eve.path}/exec`, { command: ['perl', '-e', STUBBORN, '/workspace'] })
    await eve.sh('while ! [ -e /workspace/up ]; do :; done')
    const began = performance.now()
    const report = await mission.destroy()
    expect(performance.now() - began).toBeLessThan(10_000 * PACE)
    expect(report).toMatchObject({ status: 'destroyed', homes: { changed: [] } })
    expect(report.released.processes, 'positive control: they were there').toBeGreaterThan(30)
    expect((await hanging).body.exit_code ?? null).toBeNull()
    expect(leftOf(mission.id)).toEqual(NOTHING)
  })

  it('may be repeated, and asked for many times at once', async () => {
    const mission = await stage.mission(level)
    await mission.seat('eve', { command: ['sleep', 'infinity'] })
    const reports = await Promise.all(Array.from({ length: 5 }, () => mission.destroy()))
    for (const report of [...reports, await mission.destroy()]) expect(report).toEqual(reports[0])
    expect(reports[0]).toMatchObject({ status: 'destroyed' })
    expect(leftOf(mission.id)).toEqual(NOTHING)
  })

  it('is not misled by directories that become symlinks under it', async () => {
    const mission = await stage.mission(level)
    const eve = await mission.seat('eve', {
      command: ['perl', '-e', SWAP, stage.home, '/workspace', '/home/agent', '/artifacts'],
    })
    await eve.sh('while ! [ -e /artifacts/swapping ]; do :; done')
    for (let round = 0; round < 3; round += 1) {
      const [diff, collected] = await Promise.all([
        stage.call('GET', `${eve.path}/diff`),
        stage.call('POST', `${eve.path}/collect`),
      ])
      expect([diff.status, collected.status]).toEqual([200, 200])
    }
    expect(await mission.destroy()).toMatchObject({ status: 'destroyed', homes: { checked: 2, changed: [] } })
    expect(leftOf(mission.id)).toEqual(NOTHING)
    expect(manifest(stage.pit.homesDir)).toEqual(before)
    expect(stage.replies.join('\n').includes(stage.canary)).toBe(false)
    expect(stage.keptIn(stage.canary)).toEqual([])
  })
})

/** Swaps, as fast as it can, directories that look like the home for symlinks to it. Arguments: home, places. */
const SWAP = `my ($home, @places) = @ARGV; my @pairs;
for my $place (@places) { for my $name ("project", ".ssh", "empty", "deep/project") {
  my $d = "$place/$name"; system "mkdir", "-p", $d; for (1 .. 20) { open(my $f, ">", "$d/$_"); print $f "x" } open(my $f, ">", "$d/secret"); print $f "own";
  my $l = "$d.link"; symlink $name =~ m{/} ? $home : "$home/$name", $l; push @pairs, [$d, $l] } }
open(my $up, ">", "$places[-1]/swapping"); close $up;
while (1) { for my $p (@pairs) { my ($d, $l) = @$p; syscall(${numberOf('renameat2')}, -100, $d, -100, $l, 2) } }`

it('the same swapping leads a plain walker into the home (positive control)', async () => {
  const place = join(stage.pit.stateDir, '..', 'swapped')
  mkdirSync(place)
  const abort = new AbortController()
  const swapping = run('perl', ['-e', SWAP, stage.home, place], {
    environment: { PATH: '/usr/bin:/bin' },
    abort: abort.signal,
  })
  const walk = (directory: string): boolean =>
    readdirSync(directory, { withFileTypes: true }).some((entry) => {
      const path = join(directory, entry.name)
      try {
        return entry.isDirectory() ? walk(path) : entry.isFile() && readFileSync(path, 'utf8').includes(stage.canary)
      } catch {
        return false
      }
    })
  let led = false
  for (const deadline = performance.now() + 20_000 * PACE; !led && performance.now() < deadline; ) {
    if (existsSync(join(place, 'swapping'))) led = walk(place)
    await new Promise((go) => setImmediate(go))
  }
  abort.abort()
  await swapping
  rmSync(place, { recursive: true })
  expect(led).toBe(true)
})

it('what left, ignores and stands still outlives a plain kill of its leader (positive control)', async () => {
  const place = join(stage.pit.stateDir, '..', 'stubborn')
  mkdirSync(place)
  const mark = `lazarus-test-${process.pid}-stubborn`
  const result = await run(
    'unshare',
    [
      '--user',
      '--map-root-user',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      'sh',
      '-c',
      'perl -e "$1" "$2" "$3" & while ! [ -e "$2/up" ]; do :; done; kill -TERM $!; kill -KILL $!; wait $! 2>/dev/null; ls -d /proc/[0-9]* | wc -l',
      'control',
      STUBBORN,
      place,
      mark,
    ],
    { environment: { PATH: '/usr/sbin:/usr/bin:/bin' } },
  )
  rmSync(place, { recursive: true })
  expect(Number(result.stdout.toString().trim())).toBeGreaterThan(10)
})

interface Footprint {
  readonly descriptors: number
  readonly watches: number
  readonly children: number
  readonly mounts: number
  readonly bytes: number
}

function footprint(): Footprint {
  const proc = `/proc/${stage.pit.pid}`
  const infos = readdirSync(`${proc}/fd`).map((fd) => {
    try {
      return readlinkSync(`${proc}/fd/${fd}`).includes('inotify') ? readFileSync(`${proc}/fdinfo/${fd}`, 'utf8') : ''
    } catch {
      return ''
    }
  })
  return {
    descriptors: infos.length,
    watches: infos.join('').split('inotify wd:').length - 1,
    children: allPids().filter(
      (pid) =>
        Number(
          readProc(pid, 'stat')
            .replace(/^.*\) /, '')
            .split(' ')[1],
        ) === stage.pit.pid,
    ).length,
    mounts: readProc(stage.pit.pid, 'mountinfo').split('\n').length,
    bytes: Number(/^VmRSS:\s+(\d+)/m.exec(readProc(stage.pit.pid, 'status'))?.[1]) * 1024,
  }
}

const ROUNDS: Readonly<Record<Level, number>> = { level_1: 200, level_2: 200, level_3: 15 }
const AT_ONCE = 4

describe.each(LEVELS)('rounds of spawn and withdraw at %s', (level) => {
  it(
    `${ROUNDS[level]} of them leave nothing`,
    async () => {
      const mission = await stage.mission(level, { max_agents: 1000 })
      let next = 0
      /** Most seats have no layer to save: what is counted here is sandboxes. */
      const round = async () => {
        next += 1
        const seat = await mission.seat(`agent-${next}`, {
          role: next % 10 === 0 ? 'write' : 'read',
          ...(next % 2 ? { command: ['sleep', 'infinity'] } : {}),
        })
        if (next % 7 === 0) expect((await seat.run(['true'])).exit_code).toBe(0)
        const { body } = await stage.call('DELETE', `${seat.path}?force=true`)
        expect(body.error).toBeUndefined()
      }
      const rounds = async (count: number) => {
        const until = next + count
        await Promise.all(
          Array.from({ length: AT_ONCE }, async () => {
            while (next < until) await round()
          }),
        )
      }
      await rounds(Math.ceil(ROUNDS[level] / 10))
      const warm = footprint()
      await rounds(ROUNDS[level])
      // Podman's own tidying of what ended goes on for a moment.
      await expect
        .poll(() => ({ ...footprint(), bytes: 0 }), { timeout: 10_000 * PACE })
        .toSatisfy(
          (now: Footprint) =>
            now.descriptors <= warm.descriptors + 3 &&
            now.watches <= warm.watches &&
            now.children <= warm.children &&
            now.mounts <= warm.mounts,
        )
      expect(footprint().bytes - warm.bytes).toBeLessThan(100 * 1024 ** 2)
      await mission.destroy()
      expect(leftOf(mission.id)).toEqual(NOTHING)
      expect(missionsLeft()).toEqual([])
    },
    120_000 * PACE,
  )
})

it('nothing of this pit runs any more but itself and the API of its containers', () => {
  const left = processesWith(join(stage.pit.stateDir, '..')).map((pid) =>
    readProc(pid, 'cmdline').replaceAll('\0', ' ').slice(0, 120),
  )
  expect(left.filter((line) => !line.startsWith('podman '))).toEqual([])
})
