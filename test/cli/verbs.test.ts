import { describe, expect, test } from 'vitest'
import type { Application } from '../../src/app/application.ts'
import type { DestroyReport } from '../../src/contract/mission.ts'
import type { Collection, SpawnedSeat } from '../../src/contract/seat.ts'
import { LazarusError } from '../../src/kernel/errors.ts'
import { AT, applicationOf, eventOf, MISSION, missionOf, OPERATOR_TOKEN, raise, seatOf } from '../http/stage.ts'
import { on, type Ran, recording, type Terminal } from './terminal.ts'

const builder = seatOf('builder')
const spawned: SpawnedSeat = { ...builder, token: 'shown-once', spawn_ms: 12 }
const released = { processes: 3, containers: 0, mounts: 2 }
const snapshot = {
  agent_id: 'builder',
  path: '/state/trash/builder.tar.zst',
  bytes: 1536,
  sha256: 'aa',
  keep_until: AT,
}
const destroyed: DestroyReport = {
  mission_id: MISSION,
  status: 'destroyed',
  final_checkpoints: [snapshot],
  collected: null,
  homes: { checked: 2, entries: 12345, unreadable: 1, changed: [] },
  released,
}
const collection: Collection = {
  branch: 'mission/builder',
  base: 'b'.repeat(40),
  head: 'a'.repeat(40),
  outcome: 'delivered',
  uncommitted: [],
  commits: [{ id: 'a'.repeat(40), subject: 'Mend it\u001b[31m', author: 'builder' }],
  diffstat: { files: 2, insertions: 10, deletions: 1 },
  repository: "/var/missions/x/it's.git",
}
const END = { exit_code: 7, signal: null, timed_out: false, duration_ms: 5 }

const everything: Partial<Application> = {
  addSeat: async () => spawned,
  destroyMission: async () => destroyed,
  withdrawSeat: async () => ({ seat: builder, final_checkpoint: null, released }),
  collect: async () => collection,
  diff: async () => ({ text: Buffer.from('--- a/f\n+++ b/f\n'), truncated: true }),
  execWhole: async () => ({ ...END, stdout: 'out\n', stderr: 'err\n', truncated: false }),
  async execStream(_mission, _agent, _request, output) {
    await output('stdout', Buffer.from('out\n'))
    await output('stderr', Buffer.from('err\n'))
    return END
  },
  async *logs() {
    yield Buffer.from('line 1\n')
    yield Buffer.from('line 2\n')
  },
  sealHomes: async () => ({
    seal_id: 'seal_abcdefgh',
    created_at: AT,
    homes: ['/home/a', '/root'],
    entries: 12345,
    unreadable: 0,
    content: false,
    took_ms: 1234,
  }),
  verifyHomes: async (seal_id) => ({
    seal_id,
    unchanged: true,
    entries: 12345,
    unreadable: 0,
    changed: [],
    changes: 0,
    took_ms: 800,
  }),
  initCell: async () => missionOf(),
  scan: async () => ({
    missions_path: '/var/missions',
    scanned_at: AT,
    summary: { total: 2, healthy: 1, stale: 1, incomplete: 0, uninitialized: 0 },
    cells: [
      {
        cell_id: MISSION,
        path: `/var/missions/${MISSION}`,
        health: 'healthy',
        problems: [],
        status: 'active',
        heartbeat_age_s: 12,
        known: true,
      },
      {
        cell_id: 'old',
        path: '/var/missions/old',
        health: 'stale',
        problems: ['heartbeat is 2 h old'],
        status: 'active',
        heartbeat_age_s: 7200,
        known: false,
      },
    ],
  }),
  readEvents: () => [eventOf(17)],
  async *followEvents() {
    yield eventOf(18)
    yield eventOf(19)
  },
}

async function call(
  argv: readonly string[],
  terminal: Terminal = {},
  over: Partial<Application> = {},
): Promise<Ran & { calls: readonly unknown[] }> {
  const { app, calls } = recording(applicationOf([builder], { ...everything, ...over }))
  await using stage = await raise(app)
  const ran = await on(stage, argv, terminal)
  return { ...ran, calls: calls.filter(([name]) => name !== 'listMissions') }
}

describe('argv → request', () => {
  const NEW = { mission_name: 'mend', isolation_level: 'level_2', max_agents: 10, timeout: 3600 }
  test.each<[string, unknown[]]>([
    ['mission create mend', ['createMission', NEW]],
    [
      'mission create mend --level 1 --repo https://example.org/a.git --ref v1',
      ['createMission', { ...NEW, isolation_level: 'level_1', repo: 'https://example.org/a.git', ref: 'v1' }],
    ],
    [
      'mission create mend --repo git@example.org:a.git --workspace clone --max-agents 3 --timeout 2h',
      ['createMission', { ...NEW, repo: 'git@example.org:a.git', workspace: 'clone', max_agents: 3, timeout: 7200 }],
    ],
    [
      'mission create mend -l 3 --limit memory=512M --limit cpu=1.5 --network --degradable limits.cpu,seccomp --image img',
      [
        'createMission',
        {
          ...NEW,
          isolation_level: 'level_3',
          policy: {
            limits: { memory: 536870912, cpu: 1.5 },
            network: 'host',
            degradable: ['limits.cpu', 'seccomp'],
            image: 'img',
          },
        },
      ],
    ],
    [
      'mission create mend --auto-revive ask',
      ['createMission', { ...NEW, policies: expect.objectContaining({ auto_revive: 'ask' }) }],
    ],
    ['mission inspect mend', ['inspectMission', MISSION]],
    ['mission pause mend', ['pauseMission', MISSION]],
    ['mission resume mend', ['resumeMission', MISSION]],
    ['mission complete mend', ['completeMission', MISSION]],
    ['mission archive mend', ['archiveMission', MISSION]],
    ['destroy mend', ['destroyMission', MISSION, false]],
    ['destroy mend --force', ['destroyMission', MISSION, true]],
    ['seat add mend builder', ['addSeat', MISSION, { agent_id: 'builder', role: 'write' }]],
    [
      'seat add mend builder --role lead --env A=b=c --env D= --network none --limit pids=9 -- sh -c x --flag',
      [
        'addSeat',
        MISSION,
        {
          agent_id: 'builder',
          role: 'lead',
          env: { A: 'b=c', D: '' },
          network: 'none',
          limits: { pids: 9 },
          command: ['sh', '-c', 'x', '--flag'],
        },
      ],
    ],
    ['seat ls mend', ['listSeats', MISSION]],
    ['seat rm mend builder --force', ['withdrawSeat', MISSION, 'builder', true]],
    ['withdraw mend builder', ['withdrawSeat', MISSION, 'builder', false]],
    ['exec mend builder -- ls -l --all', ['execStream', MISSION, 'builder', { command: ['ls', '-l', '--all'] }]],
    [
      'exec mend builder --cwd /artifacts --env A=b --timeout 90 -- true',
      ['execStream', MISSION, 'builder', { command: ['true'], cwd: '/artifacts', env: { A: 'b' }, timeout: 90 }],
    ],
    ['exec mend builder --json -- true', ['execWhole', MISSION, 'builder', { command: ['true'] }]],
    ['logs mend builder', ['logs', MISSION, 'builder', { follow: false, tail: null }]],
    ['logs -f mend builder --tail 5', ['logs', MISSION, 'builder', { follow: true, tail: 5 }]],
    ['kill mend builder', ['killSeat', MISSION, 'builder', 'SIGKILL']],
    ['kill mend builder --signal term', ['killSeat', MISSION, 'builder', 'SIGTERM']],
    ['diff mend builder', ['diff', MISSION, 'builder']],
    ['collect mend builder', ['collect', MISSION, 'builder']],
    ['home seal', ['sealHomes', { content: false }]],
    ['home seal /a b --content', ['sealHomes', { paths: ['/a', '/cwd/b'], content: true }]],
    ['home verify seal_abcdefgh', ['verifyHomes', 'seal_abcdefgh']],
    [`init-cell ${MISSION}`, ['initCell', MISSION]],
    ['scan', ['scan']],
    ['events', ['readEvents', { after: 0, limit: 1000 }]],
    [
      'events --mission mend --types mission_paused,collected --after 3 --limit 2',
      ['readEvents', { after: 3, mission_id: MISSION, types: ['mission_paused', 'collected'], limit: 2 }],
    ],
    ['events -f --after 3', ['followEvents', { after: 3 }]],
  ])('%s', async (line, expected) => {
    const { calls, stderr } = await call(line.split(' '), { cwd: '/cwd' })
    expect(calls, stderr).toContainEqual(expected)
  })

  test('stdin goes along with -i alone', async () => {
    const words = ['mend', 'builder', '--', 'sh']
    expect((await call(['exec', '-i', ...words], { stdin: 'echo é' })).calls).toContainEqual([
      'execStream',
      MISSION,
      'builder',
      { command: ['sh'], stdin: 'echo é' },
    ])
    expect((await call(['exec', ...words], { stdin: 'echo' })).calls).toContainEqual([
      'execStream',
      MISSION,
      'builder',
      { command: ['sh'] },
    ])
    expect(await call(['exec', '-i', ...words], { stdin: Buffer.from([0xff, 0xfe]) })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('not UTF-8'),
    })
  })
})

describe('what is printed', () => {
  const shown = async (line: string, over: Partial<Application> = {}) => {
    const { code, stdout, stderr } = await call(line.split(' '), {}, over)
    return { code, stdout, stderr }
  }

  test('mission ls', async () => {
    expect((await shown('mission ls')).stdout).toBe(
      'ID        NAME  STATUS  LEVEL    SEATS  CREATED\n' + //
        '0b9f2c52  mend  active  level_2    0/0  5 min ago\n',
    )
  })

  test('ps', async () => {
    expect((await shown('ps')).stdout).toBe(
      'MISSION        AGENT    ROLE   LEVEL    STATUS  GEN  FROM  SINCE      WORK  NOTE\n' +
        '0b9f2c52 mend  builder  write  level_2  active    1  -     5 min ago  -     -\n',
    )
  })

  test('seat ls, seat add', async () => {
    expect((await shown('seat ls mend')).stdout).toBe(
      'AGENT    ROLE   STATUS  GEN  FROM  SINCE      WORK  DEGRADED  NOTE\n' + //
        'builder  write  active    1  -     5 min ago  -     -         -\n',
    )
    expect((await shown('seat add mend builder')).stdout).toBe(
      'agent       builder\nrole        write\nstatus      active\nlevel       level_2\ndegraded    nothing\n' +
        'branch      mission/builder\nspawned in  12 ms\ntoken       shown-once\n',
    )
  })

  test('destroy: the proof', async () => {
    expect((await shown('destroy mend')).stdout).toBe(
      `destroyed ${MISSION}\nreleased: 3 processes, 0 containers, 2 mounts\n` +
        'last snapshot of builder: /state/trash/builder.tar.zst (1.5 kB, kept until 2026-01-02)\n' +
        'homes: unchanged (2 homes, 12,345 entries, 1 directory not readable)\n',
    )
    const collected = {
      path: "/state/it's/repository.bundle",
      branches: ['mission/ada', 'mission/bob'],
      bytes: 2048,
      sha256: 'bb',
      keep_until: AT,
    }
    expect(
      (await shown('destroy mend', { destroyMission: async () => ({ ...destroyed, collected }) })).stdout,
    ).toContain(
      '\nTo bring the commits home (2.0 kB, kept until 2026-01-02):\n' +
        "  git fetch '/state/it'\\''s/repository.bundle' mission/ada\n" +
        "  git fetch '/state/it'\\''s/repository.bundle' mission/bob\n",
    )
    const homes = { ...destroyed.homes, changed: [{ path: '/home/a/x', what: 'added' }] }
    expect((await shown('destroy mend', { destroyMission: async () => ({ ...destroyed, homes }) })).stdout).toContain(
      'homes: CHANGED (2 homes, 12,345 entries, 1 directory not readable)\n  /home/a/x: added\n',
    )
  })

  test('collect: outcome, commits without their control characters, and the line that brings them home', async () => {
    expect((await shown('collect mend builder')).stdout).toBe(
      'outcome: delivered (1 commit, 2 files, +10 -1)\n  aaaaaaaaaa Mend it\\u001b[31m (builder)\n\n' +
        "To bring them home:\n  git fetch '/var/missions/x/it'\\''s.git' mission/builder\n",
    )
  })

  test('diff, logs, exec: the bytes alone on stdout', async () => {
    expect(await shown('diff mend builder')).toEqual({
      code: 0,
      stdout: '--- a/f\n+++ b/f\n',
      stderr: 'The diff was cut: collect the work to see all of it.\n',
    })
    expect((await shown('logs mend builder')).stdout).toBe('line 1\nline 2\n')
    expect(await shown('exec mend builder -- x')).toEqual({ code: 7, stdout: 'out\n', stderr: 'err\n' })
  })

  test('scan, home, events', async () => {
    expect((await shown('scan')).stdout).toBe(
      'CELL                                  HEALTH   STATUS  HEARTBEAT  PROBLEMS\n' +
        `${MISSION}  healthy  active  12 s ago   -\n` +
        'old                                   stale    active  2 h ago    heartbeat is 2 h old\n' +
        '\n2 in /var/missions: 1 healthy, 1 stale, 0 incomplete, 0 uninitialized\n',
    )
    expect((await shown('home seal')).stdout).toBe('seal_abcdefgh\n12,345 entries of 2 homes sealed in 1.2 s\n')
    expect((await shown('home seal -q')).stdout).toBe('seal_abcdefgh\n')
    expect((await shown('home verify seal_abcdefgh')).stdout).toBe('Nothing changed among 12,345 entries (800 ms).\n')
    expect((await shown('events')).stdout).toBe('17  2026-01-02 03:04:05  0b9f2c52  -  mission_paused  {}\n')
    expect((await shown('events -f')).stdout).toBe(
      '18  2026-01-02 03:04:05  0b9f2c52  -  mission_paused  {}\n19  2026-01-02 03:04:05  0b9f2c52  -  mission_paused  {}\n',
    )
  })

  test('--json is the answer of the API, byte by byte; of a stream one event per line', async () => {
    expect((await shown('mission inspect mend --json')).stdout).toBe(
      `${JSON.stringify(missionOf({ seats: [builder] }))}\n`,
    )
    expect((await shown('destroy mend --json')).stdout).toBe(`${JSON.stringify(destroyed)}\n`)
    expect(JSON.parse((await shown('mission ls --json')).stdout)).toEqual({
      missions: [missionOf({ seats: [builder] })],
      next: null,
    })
    expect((await shown('events -f --json')).stdout).toBe(
      `${JSON.stringify(eventOf(18))}\n${JSON.stringify(eventOf(19))}\n`,
    )
    const exec = await shown('exec mend builder --json -- x')
    expect([exec.code, JSON.parse(exec.stdout)]).toEqual([
      7,
      { ...END, stdout: 'out\n', stderr: 'err\n', truncated: false },
    ])
  })

  test('colour on a terminal alone, never in --json', async () => {
    const { app } = recording(applicationOf([builder], everything))
    await using stage = await raise(app)
    expect((await on(stage, ['ps'], { tty: true })).stdout).toContain('\u001b[32mactive\u001b[0m')
    expect((await on(stage, ['ps', '--json'], { tty: true })).stdout).not.toContain('\u001b')
    expect((await on(stage, ['ps'])).stdout).not.toContain('\u001b')
  })
})

describe('exit codes', () => {
  const fails = (code: ConstructorParameters<typeof LazarusError>[0]) => ({
    pauseMission: async () => {
      throw new LazarusError(code, 'what happened')
    },
  })

  test.each([
    ['internal', 1],
    ['spawn_failed', 1],
    ['repository_unavailable', 1],
    ['storage_full', 1],
    ['too_many_requests', 1],
    ['invalid_request', 2],
    ['policy_invalid', 2],
    ['mission_not_found', 3],
    ['seat_not_found', 3],
    ['ref_not_found', 3],
    ['forbidden', 4],
    ['conflict', 4],
    ['work_uncollected', 4],
    ['home_mount_refused', 4],
    ['isolation_unavailable', 5],
    ['isolation_degraded', 5],
  ] as const)('%s is %i, with message and remedy on stderr', async (code, exit) => {
    const ran = await call(['mission', 'pause', MISSION], {}, fails(code))
    expect([ran.code, ran.stdout]).toEqual([exit, ''])
    expect(ran.stderr).toMatch(/^error: .+\nremedy: .+\n$/)
    expect(ran.stderr).toContain(code)
  })

  test('with --json the error is JSON too', async () => {
    const ran = await call(['mission', 'pause', MISSION, '--json'], {}, fails('conflict'))
    expect(JSON.parse(ran.stderr).error).toMatchObject({ code: 'conflict', message: 'what happened' })
  })

  test('home verify is 1 when something changed, and names it', async () => {
    const changed = [{ path: '/home/a/.bashrc', what: 'size, mtime' }]
    const ran = await call(
      ['home', 'verify', 'seal_abcdefgh'],
      {},
      {
        verifyHomes: async (seal_id) => ({
          seal_id,
          unchanged: false,
          entries: 5,
          unreadable: 0,
          changed,
          changes: 3,
          took_ms: 1,
        }),
      },
    )
    expect(ran).toMatchObject({
      code: 1,
      stdout: '/home/a/.bashrc: size, mtime\n… and 2 more\n3 changes among 5 entries (1 ms).\n',
    })
  })

  test('exec: a sandbox that went away, a timeout, an error in the stream', async () => {
    const exec = ['exec', 'mend', 'builder', '--', 'x']
    const ending = (end: object) => ({ execStream: async () => ({ ...END, ...end }) })
    expect(await call(exec, {}, ending({ exit_code: null }))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('went away'),
    })
    expect(await call(exec, {}, ending({ exit_code: 137, timed_out: true }))).toMatchObject({
      code: 137,
      stderr: expect.stringContaining('timeout'),
    })
    const broken: Partial<Application> = {
      async execStream(_m, _a, _r, output) {
        await output('stdout', Buffer.from('x'))
        throw new LazarusError('runtime_failed', 'it broke')
      },
    }
    expect(await call(exec, {}, broken)).toMatchObject({
      code: 1,
      stdout: 'x',
      stderr: expect.stringContaining('it broke (runtime_failed)'),
    })
  })
})

test('a pit that goes away in the middle is told as such', async () => {
  const broken: Partial<Application> = {
    async *logs() {
      yield Buffer.from('first\n')
      throw new Error('gone')
    },
  }
  const ran = await call(['logs', 'mend', 'builder'], {}, broken)
  expect(ran).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('The connection to the pit broke (runtime_failed)'),
  })
})

describe('another way to the pit', () => {
  test('--url with the token of the state directory, of a file, of the environment; without one it is refused', async () => {
    await using stage = await raise(applicationOf([builder]))
    const url = ['--url', stage.at.url]
    const { writeFile } = await import('node:fs/promises')
    expect((await on(stage, ['mission', 'inspect', MISSION, ...url])).code).toBe(4)
    expect((await on(stage, ['mission', 'inspect', MISSION, ...url], { token: OPERATOR_TOKEN })).code).toBe(0)
    await writeFile(`${stage.state_dir}/operator.token`, `${OPERATOR_TOKEN}\n`)
    expect((await on(stage, ['mission', 'inspect', MISSION, ...url])).code).toBe(0)
    expect((await on(stage, ['mission', 'inspect', MISSION, ...url, '--token-file', '/nonexistent'])).code).toBe(2)
    expect((await on(stage, ['mission', 'inspect', MISSION, '--url', 'ftp://x'])).code).toBe(2)
  })

  test('--socket and --state-dir', async () => {
    await using stage = await raise(applicationOf([builder]))
    const elsewhere = { state_dir: '/nonexistent' }
    expect((await on(stage, ['status', '--socket', stage.at.socket], elsewhere)).code).toBe(0)
    expect((await on(stage, ['status', '--state-dir', stage.state_dir], elsewhere)).code).toBe(0)
  })
})
