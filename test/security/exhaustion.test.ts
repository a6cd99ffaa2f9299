import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../../src/linux/run.ts'
import { PACE } from '../support/pace.ts'
import { LEVELS, type Mission, type SeatOnStage, Stage } from './stage.ts'

const MEBIBYTE = 1024 ** 2
const LIMITS = { pids: 64, tmp: MEBIBYTE, disk: MEBIBYTE, nofile: 256 }
/** What the shipped policies give to the log of a seat. */
const LOG_BYTES = 4 * 4 * MEBIBYTE

/** Forks at most 300 children that stay, says how many there were, and ends them. */
const FORK =
  'my @c; while (@c < 300) { my $p = fork; last if !defined $p; if (!$p) { sleep 60; exit } push @c, $p } print scalar(@c); kill 9, @c'
/** Forks until no more is to be had, gives back so many that an exec can start, and stays. */
const LEFT_FREE = 20
const HOLD = `my @c; while (@c < 300) { my $p = fork; last if !defined $p; if (!$p) { sleep 60; exit } push @c, $p } my $n = @c;
  my @back = splice(@c, 0, ${LEFT_FREE}); kill 9, @back; waitpid $_, 0 for @back; open(my $f, ">", "/artifacts/full"); close $f;
  sleep 0.05 until -e "/artifacts/enough"; kill 9, @c; print $n`
const OPEN = 'my @f; while (@f < 1000) { open(my $f, "<", "/dev/null") or last; push @f, $f } print scalar(@f)'
const INODES =
  'my $n = 0; mkdir "$ARGV[0]/many"; while ($n < 5000) { open(my $f, ">", "$ARGV[0]/many/$n") or last; $n++ } print $n'
const CONNECT = `use Socket; $| = 1; my @s; for (1 .. 400) { socket(my $s, AF_UNIX, SOCK_STREAM, 0) or last;
  connect($s, pack_sockaddr_un("/run/lazarus/cell.sock")) or last; push @s, $s } open(my $up, ">", "/artifacts/connected"); close $up;
  sleep 0.05 until -e "/artifacts/enough"; print scalar(@s)`

let stage: Stage
beforeAll(async () => {
  stage = await Stage.open()
})
afterAll(() => stage?.[Symbol.asyncDispose]())

const onHost = async (program: string, ...args: string[]): Promise<number> =>
  Number((await run('perl', ['-e', program, ...args], { environment: { PATH: '/usr/bin:/bin' } })).stdout)
const openInPit = (): number => readdirSync(`/proc/${stage.pit.pid}/fd`).length

describe.each(LEVELS)('a cell of %s that wants everything', (level) => {
  let mission: Mission
  let eve: SeatOnStage
  let bob: SeatOnStage
  beforeAll(async () => {
    mission = await stage.mission(level)
    eve = await mission.seat('eve', { limits: LIMITS })
    bob = await mission.seat('bob')
  })

  it('has so many processes and no more, over all its execs', async () => {
    expect((await bob.perl(FORK)).stdout, 'positive control: another limit').toBe('300')
    const hold = eve.perl(HOLD)
    await bob.sh('while ! [ -e /mission/artifacts/eve/full ]; do :; done')
    expect(Number((await eve.perl(FORK)).stdout)).toBeLessThan(LEFT_FREE)
    await eve.sh('touch /artifacts/enough')
    const held = Number((await hold).stdout)
    expect(held).toBeGreaterThan(LIMITS.pids / 2)
    expect(held).toBeLessThan(LIMITS.pids)
  })

  it('is ended with its fork bomb, while others work on', async () => {
    const bomb = await mission.seat('bomb', {
      limits: LIMITS,
      command: ['perl', '-e', 'open(my $f, ">", "/artifacts/lit"); 1 while defined(fork) || 1'],
    })
    await bob.sh('while ! [ -e /mission/artifacts/bomb/lit ]; do :; done')
    expect(await bob.sh('echo works')).toMatchObject({ stdout: 'works\n', exit_code: 0 })
    const began = performance.now()
    const { status, body } = await stage.call('DELETE', `${bomb.path}?force=true`)
    expect(performance.now() - began).toBeLessThan(15_000 * PACE)
    expect(status).toBe(200)
    expect(body.released.processes).toBeGreaterThan(4)
    expect(body.released.processes).toBeLessThanOrEqual(LIMITS.pids + 8)
  })

  it('fills neither /tmp nor /dev/shm', async () => {
    const fill = (seat: SeatOnStage, path: string) =>
      seat.sh('head -c 4194304 /dev/zero >"$1" 2>/dev/null; s=$?; stat -c %s "$1"; rm "$1"; exit $s', path)
    expect(await fill(bob, '/tmp/big'), 'positive control: another limit').toMatchObject({
      exit_code: 0,
      stdout: '4194304\n',
    })
    const filled = await fill(eve, '/tmp/big')
    expect(filled.exit_code).not.toBe(0)
    expect(Number(filled.stdout)).toBeLessThanOrEqual(LIMITS.tmp)
    const shm = await bob.sh(
      'head -c 600000000 /dev/zero >/dev/shm/big 2>/dev/null; stat -c %s /dev/shm/big; rm /dev/shm/big',
    )
    expect(Number(shm.stdout)).toBeLessThan(600_000_000)
  })

  it('cannot make a file larger than it may', async () => {
    const grow = (seat: SeatOnStage) =>
      seat.sh('head -c 4194304 /dev/zero >/workspace/big; s=$?; stat -c %s /workspace/big; rm /workspace/big; exit $s')
    expect(await grow(bob), 'positive control: another limit').toMatchObject({ exit_code: 0, stdout: '4194304\n' })
    const grown = await grow(eve)
    expect(grown.exit_code).not.toBe(0)
    expect(Number(grown.stdout)).toBeLessThanOrEqual(LIMITS.disk)
  })

  it('opens so many descriptors and no more', async () => {
    expect(await onHost(OPEN), 'positive control').toBeGreaterThan(LIMITS.nofile)
    expect(Number((await eve.perl(OPEN)).stdout)).toBeLessThan(LIMITS.nofile)
  })

  it("cannot take the pit's descriptors by connecting", async () => {
    const before = openInPit()
    const connecting = bob.perl(CONNECT)
    await eve.sh('while ! [ -e /mission/artifacts/bob/connected ]; do :; done')
    expect(openInPit() - before).toBeLessThan(80)
    const self = await eve.run(['curl', '-sS', '--unix-socket', '/run/lazarus/cell.sock', 'http://pit/v1/self'])
    expect(JSON.parse(self.stdout)).toMatchObject({ agent_id: 'eve' })
    await bob.sh('touch /artifacts/enough')
    expect(Number((await connecting).stdout), 'positive control: it was tried').toBe(400)
  })

  it('floods its log, which stays bounded, and keeps the end', async () => {
    const flood = await mission.seat('flood', {
      command: [
        'sh',
        '-c',
        'yes 0123456789012345678901234567890123456789 | head -c 41000000; echo the end; exec sleep infinity',
      ],
    })
    const tail = async () => (await stage.call('GET', `${flood.path}/logs?tail=1`)).body as string
    await expect.poll(tail, { timeout: 30_000 * PACE, interval: 50 }).toBe('the end\n')
    const logs = join(mission.directory, 'logs')
    const bytes = readdirSync(logs)
      .filter((name) => name.startsWith('flood.log'))
      .map((name) => statSync(join(logs, name)).size)
    expect(bytes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(LOG_BYTES * 1.1)
  })

  it('floods an exec, whose answer is cut, and which ends in its time', async () => {
    const flooded = await eve.sh('head -c 5000000 /dev/zero | tr "\\0" x; echo end >&2')
    expect(flooded).toMatchObject({ exit_code: 0, truncated: true, stderr: 'end\n' })
    expect(flooded.stdout.length).toBe(MEBIBYTE)
    expect(await eve.run(['yes'], { timeout: 1 })).toMatchObject({ timed_out: true, truncated: true })
  })

  it.each([
    ['an argument', { command: ['true', 'x'.repeat(131_072)] }],
    ['all arguments', { command: ['true', ...Array.from({ length: 20 }, () => 'x'.repeat(120_000))] }],
    [
      'the environment',
      {
        command: ['true'],
        env: Object.fromEntries(Array.from({ length: 80 }, (_, n) => [`V${n}`, 'x'.repeat(32_768)])),
      },
    ],
  ])('is told so when %s is larger than the kernel takes', async (_, request) => {
    const { status, body } = await stage.call('POST', `${eve.path}/exec`, request)
    // Where something in the cell is the first to find out, the command fails.
    if (status === 200)
      expect([body.exit_code === 0, body.stderr]).toEqual([false, expect.stringContaining('too long')])
    else expect(['invalid_request', 'body_too_large']).toContain(body.error.code)
    expect(await eve.sh('echo works')).toMatchObject({ stdout: 'works\n' })
  })

  it('says which limits nobody enforces, and never claims one', async () => {
    const { isolation } = await eve.facts()
    const { delegated_controllers } = (await stage.call('GET', '/v1/host')).body
    for (const name of ['cpu', 'memory']) {
      const enforced = isolation.effective.limits[name].enforced_by
      expect([name, enforced]).toEqual([name, delegated_controllers.includes(name) ? 'cgroup' : 'none'])
      expect(isolation.effective.degraded.includes(`limits.${name}`)).toBe(enforced === 'none')
    }
    const strict = await stage.call('POST', `/v1/missions/${mission.id}/seats`, {
      agent_id: 'strict',
      limits: { memory: 256 * MEBIBYTE },
    })
    if (!delegated_controllers.includes('memory'))
      expect([strict.status, strict.body.error.code]).toEqual([422, 'isolation_degraded'])
    else expect(strict.body.isolation.effective.limits.memory).toEqual({ value: 256 * MEBIBYTE, enforced_by: 'cgroup' })
  })

  it('is destroyed', async () => {
    expect(await mission.destroy()).toMatchObject({ status: 'destroyed', homes: { changed: [] } })
  })
})

/** At level 3 Podman takes no such option for a tmpfs: there, memory of the host's kernel is bounded by a cgroup or not at all. */
describe.each(['level_1', 'level_2'] as const)('a cell of %s that wants every inode', (level) => {
  it.each(['/tmp', '/dev/shm'])('gets few of them in %s', async (place) => {
    const mission = await stage.mission(level)
    const eve = await mission.seat('eve', { limits: LIMITS })
    const scratch = mkdtempSync('/dev/shm/lazarus-test-')
    expect(await onHost(INODES, scratch), 'positive control').toBe(5000)
    rmSync(scratch, { recursive: true })
    expect(Number((await eve.perl(INODES, place)).stdout)).toBeLessThanOrEqual(1024)
    await mission.destroy()
  })
})
