import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isAlive, startTime } from '../../src/linux/process.ts'
import { git } from '../support/repository.ts'
import { attackCommand, controlOutcomes, type Outcomes, outcomesOf } from './attack.ts'
import { AGAINST_PROCESSES } from './between-attacks.ts'
import { LEVELS, type Mission, type SeatOnStage, Stage } from './stage.ts'
import { type Belongings, makeNames, VICTIM } from './victim.ts'

const NAMES = AGAINST_PROCESSES.map(({ name }) => name)
const names = makeNames()

let stage: Stage
let victim: ChildProcess
let theirs: Belongings
let controls: Outcomes
beforeAll(async () => {
  stage = await Stage.open()
  const env = { PATH: '/usr/bin:/bin', SECRET: 'canary-of-the-host', ...names }
  victim = spawn('perl', ['-e', VICTIM], { env, detached: true, stdio: ['pipe', 'pipe', 'inherit'] })
  theirs = JSON.parse(String((await once(victim.stdout!, 'data'))[0]))
  controls = await controlOutcomes(AGAINST_PROCESSES, parameters(theirs))
})
afterAll(async () => {
  if (victim?.exitCode === null) {
    victim.stdin?.end()
    await once(victim, 'exit')
  }
  await stage?.[Symbol.asyncDispose]()
})

const parameters = ({ pid, address, memfd, port }: Belongings, more: readonly number[] = []) => ({
  ...names,
  PIDS: [pid, ...more].join(' '),
  ADDRESS: address,
  MEMFD: String(memfd),
  PORT: String(port),
})

describe('a process of the same user (positive control)', () => {
  it.each(NAMES)('%s succeeds', (name) => {
    expect(controls.get(name)).toBe('open')
  })
})

describe.each(LEVELS)('from seat to seat at %s', (level) => {
  let mission: Mission
  let eve: SeatOnStage
  let bob: SeatOnStage
  let bobs: Belongings
  let bobsPid: number
  beforeAll(async () => {
    mission = await stage.mission(level)
    eve = await mission.seat('eve', { command: ['sleep', 'infinity'] })
    const victimOfEve = ['sh', '-c', 'mkfifo /tmp/stay; exec perl -e "$0" <>/tmp/stay', VICTIM]
    bob = await mission.seat('bob', { command: victimOfEve, env: { SECRET: 'canary-of-bob', ...names } })
    bobs = JSON.parse(await bob.said())
    const { body } = await stage.call('GET', `/v1/events?mission_id=${mission.id}&types=seat_spawned`)
    bobsPid = body.events.find((event: { agent_id: string }) => event.agent_id === 'bob').data.handle.agent_pid
  })

  describe.each(['the host', 'another seat'])('against a process of %s', (where) => {
    let outcomes: Outcomes
    beforeAll(async () => {
      // Addresses differ between the two; pids of the pit and of the agent on the host go with both.
      const env = parameters(where === 'the host' ? theirs : { ...bobs, pid: bobsPid }, [stage.pit.pid, process.pid])
      outcomes = outcomesOf(
        (await eve.run(attackCommand(AGAINST_PROCESSES), { env: { ...env, SCRATCH: '/tmp' } })).stdout,
      )
    })

    it.each(NAMES)('%s fails', (name) => {
      expect(outcomes.get(name)).toBe('shut')
    })
  })

  it('finds what a seat shares with itself: the same names, opened inside (positive control)', async () => {
    const inside = AGAINST_PROCESSES.filter(({ name }) =>
      /^(signal|shared_memory|message_queue|semaphore|posix_.*|abstract_socket|loopback)$/.test(name),
    )
    const { stdout } = await bob.run(attackCommand(inside), { env: { ...parameters(bobs), SCRATCH: '/tmp' } })
    expect([...outcomesOf(stdout)].filter(([, outcome]) => outcome !== 'open')).toEqual([])
  })

  it('cannot lower the priority of whoever has the same uid on the host', async () => {
    const nice = () =>
      Number(
        readFileSync(`/proc/${bobsPid}/stat`, 'utf8')
          .replace(/^.*\) /, '')
          .split(' ')[16],
      )
    const lowered = await eve.perl(
      'my $own = fork // die; if (!$own) { sleep 60; exit } setpriority(2, 0, 7); print getpriority(0, $own); kill 9, $own',
    )
    expect(lowered.stdout, 'positive control: its own process').toBe('7')
    expect(nice()).toBe(0)
  })

  it('sees nothing happen in the files of another', async () => {
    const watch = `my $i = syscall(shift, 04000); syscall(shift, $i, my $p = $_, 0xfff) for qw(/workspace /workspace/src /artifacts /home/agent /tmp /dev/shm);
      open(my $f, "<&=", $i); sub seen { my $text = ""; sysread($f, $text, 65536); length $text }
      open(my $up, ">", "/artifacts/watching"); close $up; seen();
      sleep 0.01 until -e "/mission/artifacts/bob/done"; print seen(), "\\n"; open(my $own, ">", "/workspace/own"); print seen() > 0 ? "own" : "blind";`
    const { inotify_init1, inotify_add_watch } = await import('./numbers.ts').then(({ numberOf }) => ({
      inotify_init1: numberOf('inotify_init1'),
      inotify_add_watch: numberOf('inotify_add_watch'),
    }))
    const watching = eve.perl(watch, String(inotify_init1), String(inotify_add_watch))
    await bob.sh(
      'while ! [ -e /mission/artifacts/eve/watching ]; do :; done; echo x >>/workspace/README.md; cat /workspace/src/main.txt; echo x | tee /workspace/own /home/agent/x /tmp/x /dev/shm/x; touch /artifacts/done',
    )
    expect((await watching).stdout, 'its own is the positive control').toBe('0\nown')
  })

  it("reads the artifacts of another but changes nothing, and a planted symlink leads to one's own", async () => {
    await bob.sh(
      'echo result >/artifacts/result; echo mine >/home/agent/note; ln -s /home/agent/note /artifacts/link; ln -s / /artifacts/root',
    )
    await eve.sh('echo own >/home/agent/note')
    expect(await eve.sh('cd /mission/artifacts/bob && cat result link')).toMatchObject({ stdout: 'result\nown\n' })
    const changes = [
      'echo x >>result',
      'rm result',
      'mv result x',
      'touch new',
      'chmod 777 result',
      'ln result /workspace/hard',
      'mkdir d',
    ]
    for (const change of changes)
      expect((await eve.sh(`cd /mission/artifacts/bob && ${change}`)).exit_code, change).not.toBe(0)
    expect((await bob.sh('cat /artifacts/result; ls /artifacts | sort | tr "\\n" " "')).stdout).toBe(
      'result\ndone link result root ',
    )
  })

  it('speaks to the pit as itself alone', async () => {
    const dial = (path: string, ...args: string[]) =>
      eve.run(['curl', '-sS', '--unix-socket', '/run/lazarus/cell.sock', ...args, `http://pit${path}`])
    expect(JSON.parse((await dial('/v1/self')).stdout)).toMatchObject({ agent_id: 'eve' })
    const post = ['-H', 'content-type: application/json', '-d', '{"command":["true"]}']
    expect(JSON.parse((await dial(`${eve.path}/exec`, ...post)).stdout), 'positive control').toMatchObject({
      exit_code: 0,
    })
    const refused = [
      `${bob.path}/exec`,
      `${bob.path}/kill`,
      `${bob.path}/collect`,
      `/v1/missions/${mission.id}/pause`,
      '/v1/missions',
      '/v1/homes/seal',
    ]
    for (const path of refused)
      expect(JSON.parse((await dial(path, ...post)).stdout).error.code, path).toBe('forbidden')
    for (const path of [`${bob.path}/logs`, '/v1/events', '/v1/host', '/v1/missions'])
      expect(JSON.parse((await dial(path)).stdout).error.code, path).toBe('forbidden')
    const ls = await eve.sh(
      'ls -A /run/lazarus; touch /run/lazarus/x; rm -f /run/lazarus/cell.sock; ls -A /run/lazarus',
    )
    expect(ls.stdout).toBe('cell.sock\ncell.sock\n')
  })

  it('cannot write the refs of another, nor find its objects', async () => {
    await bob.sh('git checkout -q . ; echo bob >work && git add work && git commit -qm "Of Bob"')
    const collected = (await stage.call('POST', `${bob.path}/collect`)).body
    const forge =
      'git commit -q --allow-empty -m "Of Eve"; for r in refs/heads/mission/bob refs/heads/main refs/tags/v1 refs/heads/mission/eve/x; do git update-ref "$r" HEAD; done; git branch -m mission/bob-2; git checkout -q -b mission/bob-3'
    await eve.sh(forge)
    await stage.call('POST', `${eve.path}/collect`)
    expect(await git(collected.repository, 'log', '-1', '--format=%s', 'refs/heads/mission/bob')).toBe('Of Bob')
    const refs = (await git(collected.repository, 'for-each-ref', '--format=%(refname)')).split('\n')
    expect(refs.filter((ref) => !ref.startsWith('refs/lazarus/')).sort()).toEqual([
      'refs/heads/mission/bob',
      'refs/heads/mission/eve',
    ])
    const find = (seat: SeatOnStage) => seat.sh('git cat-file -e "$1"', collected.head)
    expect((await find(bob)).exit_code, 'positive control').toBe(0)
    expect((await find(eve)).exit_code).not.toBe(0)
    const objects = await eve.sh(
      'cat .git/objects/info/alternates; d=$(head -1 .git/objects/info/alternates); touch "$d/planted" "$d/pack/planted" "$d/info/planted"; rm -rf "$d"; ls "$d" | wc -l',
    )
    expect(objects.stdout.split('\n')[0], 'positive control: there are shared objects').toMatch(/^\//)
    expect(Number(objects.stdout.trim().split('\n').at(-1))).toBeGreaterThan(0)
    expect(await git(stage.repository.path, 'fsck', '--strict')).toBe('')
  })

  it('kill -9 -1 ends only what is its own', async () => {
    const alive = [process.pid, stage.pit.pid, theirs.pid, bobsPid].map((pid) => [pid, startTime(pid)] as const)
    await eve.perl('fork for 1 .. 3; kill 9, -1; kill 9, 1; syscall(62, -1, 9); sleep 1')
    const dead = await stage.pit.until(eve.path, (seat) => seat.status === 'dead')
    expect(dead.exit, 'positive control: its own agent').toMatchObject({ cause: 'signal', signal: 'SIGKILL' })
    expect(alive.filter(([pid, start]) => !isAlive(pid, start))).toEqual([])
    expect((await bob.sh('echo here')).stdout).toBe('here\n')
  })

  it('is destroyed', async () => {
    expect(await mission.destroy()).toMatchObject({ status: 'destroyed' })
  })
})
