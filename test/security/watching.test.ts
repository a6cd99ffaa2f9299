import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PACE } from '../support/pace.ts'
import { numberOf } from './numbers.ts'
import { Stage } from './stage.ts'

/**
 * inotify is counted per user, so a cell can take it from the pit. Here only the pit and its cells share a small number:
 * the pit lives in a user namespace that has a limit of its own, kept by another process while the pit is down. Rootless
 * Podman starts in no such namespace, so level 3 is not tried here.
 */
const INSTANCES = 24
const KEEP = `echo ${INSTANCES} >/proc/sys/user/max_inotify_instances && echo up && exec sleep infinity`
let keeper: ChildProcess
beforeAll(async () => {
  keeper = spawn('unshare', ['--user', '--map-current-user', '--keep-caps', 'sh', '-c', KEEP], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(keeper.stdout!, 'data')
})
afterAll(() => void keeper?.kill('SIGKILL'))
const within = () => [
  'nsenter',
  `--user=/proc/${keeper.pid}/ns/user`,
  '--preserve-credentials',
  'setpriv',
  '--inh-caps=-all',
  '--ambient-caps=-all',
  '--',
]

/** Takes every instance of inotify that is to be had, says how many, keeps them, and takes what is given back. */
const HOARD = `$| = 1; my $n = 0; sub take { $n++ while syscall(${numberOf('inotify_init1')}, 0) >= 0 } take(); print "$n\\n";
  while (1) { take(); select undef, undef, undef, 0.002 }`
const TAKE_ONE = `my $fd = syscall(${numberOf('inotify_init1')}, 0); print $fd >= 0 ? "free" : "none"`

describe.each(['level_1', 'level_2'] as const)('a cell of %s that hoards inotify', (level) => {
  it('keeps the pit from noticing no death, of old seats and of new ones, also after the pit starts anew', async () => {
    await using stage = await Stage.open({}, {}, within())
    const mission = await stage.mission(level)
    const old = await mission.seat('old', {
      command: ['sh', '-c', 'while ! [ -e /artifacts/die ]; do sleep 0.05; done; exit 3'],
    })
    const bob = await mission.seat('bob')
    expect((await bob.perl(TAKE_ONE)).stdout, 'positive control: there is some').toBe('free')
    const eve = await mission.seat('eve', { command: ['perl', '-e', HOARD] })
    expect(Number(await eve.said())).toBeGreaterThan(0)
    expect((await bob.perl(TAKE_ONE)).stdout, 'positive control: all of it is gone').toBe('none')

    const dies = async (agent_id: string, code: number): Promise<void> => {
      // It lives until its start is recorded: the end of one that dies sooner is found without any watch.
      const command = ['sh', '-c', `while ! [ -e /artifacts/die ]; do sleep 0.05; done; exit ${code}`]
      const seat = await mission.seat(agent_id, { command })
      await seat.sh('touch /artifacts/die')
      const { exit } = await stage.pit.until(seat.path, ({ status }) => status === 'dead')
      expect(exit).toMatchObject({ cause: 'exit', code })
    }
    await dies('young', 4)
    await old.sh('touch /artifacts/die')
    expect((await stage.pit.until(old.path, ({ status }) => status === 'dead')).exit).toMatchObject({ code: 3 })

    await stage.pit.stop('SIGKILL')
    await stage.pit.start()
    expect((await bob.perl(TAKE_ONE)).stdout, 'positive control: still').toBe('none')
    const began = performance.now()
    await dies('later', 5)
    expect(performance.now() - began).toBeLessThan(5_000 * PACE)
    await mission.destroy()
    expect(existsSync(join(stage.pit.stateDir, 'missions', mission.id))).toBe(false)
  })
})

it('a pit whose container runtime is gone serves the levels that need none', async () => {
  await using stage = await Stage.open({ DOCKER_HOST: 'unix:///nonexistent/podman.sock' })
  const refused = await stage.call('POST', '/v1/missions', { mission_name: 'no runtime', isolation_level: 'level_3' })
  expect([refused.status, refused.body.error.code]).toEqual([503, 'isolation_unavailable'])
  for (const level of ['level_1', 'level_2'] as const) {
    const mission = await stage.mission(level)
    expect((await (await mission.seat('eve')).sh('echo works')).stdout).toBe('works\n')
    await mission.destroy()
  }
})
