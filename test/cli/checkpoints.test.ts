import { describe, expect, test } from 'vitest'
import type { Application } from '../../src/app/application.ts'
import type { Checkpoint } from '../../src/contract/checkpoint.ts'
import type { RevivedSeat, SpawnedSeat } from '../../src/contract/seat.ts'
import { LazarusError } from '../../src/kernel/errors.ts'
import { AT, applicationOf, MISSION, missionOf, OTHER_MISSION, raise, seatOf } from '../http/stage.ts'
import { on, recording } from './terminal.ts'

const idOf = (start: string) => `ckpt_${start.padEnd(24, '0')}`
const [FIRST, SECOND, THIRD] = [idOf('3f2a1'), idOf('3f2b'), idOf('c0ffee')]
const hash = 'a'.repeat(64)

const checkpointOf = (checkpoint_id: string, sequence: number, fields: Partial<Checkpoint> = {}): Checkpoint => ({
  checkpoint_id,
  mission_id: MISSION,
  agent_id: 'builder',
  generation: 1,
  sequence,
  sha256: hash,
  manifest_sha256: hash,
  context_hash: hash,
  fingerprint: hash,
  bytes: 1536,
  content_bytes: 10_240,
  entries: 7,
  took_ms: 12.4,
  created_at: AT,
  reason: 'interval',
  paused: true,
  shares: null,
  ...fields,
})

const three = [
  checkpointOf(FIRST, 1),
  checkpointOf(SECOND, 2, { shares: FIRST, reason: 'asked for' }),
  checkpointOf(THIRD, 3, { generation: 2, paused: false, entries: 12_345, reason: 'before \u001b[31m merge' }),
]
const builder = seatOf('builder')
const revived: RevivedSeat = { ...builder, generation: 3, resumed_from: THIRD, token: 'shown-once', revive_ms: 25 }
const spawned: SpawnedSeat = { ...seatOf('second'), token: 'shown-once', spawn_ms: 12 }

const everything: Partial<Application> = {
  listMissions: () => [missionOf(), missionOf({ mission_id: OTHER_MISSION, mission_name: 'twin' })],
  checkpointSeat: async () => three[0]!,
  listCheckpoints: () => three,
  verifyCheckpoint: async (_m, _a, checkpoint_id) => ({
    checkpoint_id,
    sound: true,
    bytes: 1536,
    entries: 7,
    took_ms: 3,
  }),
  removeCheckpoint: async () => three[0]!,
  pruneCheckpoints: async () => ({ pruned: [FIRST, SECOND], kept: 1, freed_bytes: 1536 }),
  forkCheckpoint: async () => spawned,
  restoreSeat: async () => revived,
}

async function call(words: readonly string[], over: Partial<Application> = {}) {
  const { app, calls } = recording(applicationOf([builder], { ...everything, ...over }))
  await using stage = await raise(app)
  const ran = await on(stage, words)
  return { ...ran, calls: calls.filter(([name]) => name !== 'listMissions' && name !== 'listCheckpoints') }
}
const said = (line: string, over: Partial<Application> = {}) => call(line.split(' '), over)

const FROM = { mission_id: MISSION, agent_id: 'builder', checkpoint_id: THIRD }

describe('argv → request', () => {
  test.each<[string, unknown[]]>([
    ['checkpoint mend builder', ['checkpointSeat', MISSION, 'builder', 'asked for']],
    ['checkpoint take mend builder', ['checkpointSeat', MISSION, 'builder', 'asked for']],
    ['checkpoint mend builder --reason merge', ['checkpointSeat', MISSION, 'builder', 'merge']],
    ['checkpoint --reason merge mend builder', ['checkpointSeat', MISSION, 'builder', 'merge']],
    ['checkpoint verify mend builder', ['verifyCheckpoint', MISSION, 'builder', THIRD]],
    ['checkpoint verify mend builder 3f2b', ['verifyCheckpoint', MISSION, 'builder', SECOND]],
    ['checkpoint rm mend builder ckpt_3f2a', ['removeCheckpoint', MISSION, 'builder', FIRST]],
    ['checkpoint prune mend builder', ['pruneCheckpoints', MISSION, 'builder', {}]],
    ['checkpoint prune mend builder --keep 3', ['pruneCheckpoints', MISSION, 'builder', { keep: 3 }]],
    ['checkpoint fork mend builder latest second', ['forkCheckpoint', FROM, { agent_id: 'second' }]],
    [
      'checkpoint fork mend builder c0 second --into twin --role read --env A=b --limit pids=9',
      [
        'forkCheckpoint',
        FROM,
        { agent_id: 'second', mission: OTHER_MISSION, role: 'read', env: { A: 'b' }, limits: { pids: 9 } },
      ],
    ],
    [
      'checkpoint fork mend builder c0 second --new-mission trial --resume-command again -- sh -c x',
      [
        'forkCheckpoint',
        FROM,
        {
          agent_id: 'second',
          mission: { mission_name: 'trial' },
          command: ['sh', '-c', 'x'],
          resume_command: ['sh', '-c', 'again'],
        },
      ],
    ],
    ['restore mend builder latest', ['restoreSeat', MISSION, 'builder', THIRD]],
    ['restore mend builder C0FFEE', ['restoreSeat', MISSION, 'builder', THIRD]],
    [`restore mend builder ${FIRST}`, ['restoreSeat', MISSION, 'builder', FIRST]],
  ])('%s', async (line, expected) => {
    const { code, calls, stderr } = await said(line)
    expect(calls, stderr).toEqual([expected])
    expect(code).toBe(0)
  })
})

describe('what is printed', () => {
  test('checkpoints', async () => {
    expect((await said('checkpoints mend builder')).stdout).toBe(
      [
        'ID                             SEQ  GEN  AGE          SIZE  ENTRIES  PAUSED  SHARES         REASON',
        `${FIRST}    1    1  5 min ago  1.5 kB        7  yes     -              interval`,
        `${SECOND}    2    1  5 min ago  1.5 kB        7  yes     ckpt_3f2a1000  asked for`,
        `${THIRD}    3    2  5 min ago  1.5 kB    12345  no      -              before \\u001b[31m merge`,
        '',
      ].join('\n'),
    )
    expect((await said('checkpoints mend builder --ids')).stdout).toBe(`${FIRST}\n${SECOND}\n${THIRD}\n`)
    expect((await said('checkpoints mend builder', { listCheckpoints: () => [] })).stdout).toBe(
      'No checkpoints yet. Take one with: lazarus checkpoint mend builder\n',
    )
  })

  test('checkpoint: the id alone on the first line', async () => {
    expect((await said('checkpoint mend builder')).stdout).toBe(
      `${FIRST}\nnumber 1: 7 entries, 1.5 kB; taken in 12 ms with the seat at rest\n`,
    )
    const shared = async () => checkpointOf(SECOND, 2, { shares: FIRST, paused: false })
    expect((await said('checkpoint mend builder', { checkpointSeat: shared })).stdout).toBe(
      `${SECOND}\nnumber 2: nothing changed: it shares the archive of ckpt_3f2a1000; taken in 12 ms while the seat went on\n`,
    )
  })

  test('verify, rm, prune', async () => {
    expect((await said('checkpoint verify mend builder')).stdout).toBe(
      `${THIRD} is sound: 7 entries, 1.5 kB read again in 3 ms\n`,
    )
    expect((await said('checkpoint rm mend builder latest')).stdout).toBe(`deleted ${FIRST} (1.5 kB)\n`)
    expect((await said('checkpoint prune mend builder')).stdout).toBe(
      `deleted ${FIRST}\ndeleted ${SECOND}\n2 checkpoints deleted, 1 kept, 1.5 kB freed\n`,
    )
  })

  test('restore and fork: the new seat with its token', async () => {
    expect((await said('restore mend builder latest')).stdout).toBe(
      `agent         builder\nstatus        active\ngeneration    3\nresumed from  ${THIRD}\n` +
        'branch        mission/builder\ntook          25 ms\ntoken         shown-once\n',
    )
    expect((await said('checkpoint fork mend builder latest second')).stdout).toContain('branch      mission/second\n')
  })

  test('--json is the answer of the API', async () => {
    expect((await said('checkpoint mend builder --json')).stdout).toBe(`${JSON.stringify(three[0])}\n`)
    expect(JSON.parse((await said('checkpoints mend builder --json')).stdout)).toEqual({
      checkpoints: three,
      next: null,
    })
    expect((await said('restore mend builder latest --json')).stdout).toBe(`${JSON.stringify(revived)}\n`)
  })

  test('help says where a reader looks what does not survive', async () => {
    for (const verb of ['checkpoint', 'checkpoint take'])
      expect((await said(`${verb} --help`)).stdout).toContain(
        'at level 3 nothing that was installed outside of the two',
      )
  })
})

describe('naming a checkpoint', () => {
  test('an ambiguous prefix lists the candidates, and nothing is done', async () => {
    const ran = await said('restore mend builder ckpt_3f2')
    expect(ran).toMatchObject({ code: 2, stdout: '', calls: [] })
    expect(ran.stderr).toContain(
      `"ckpt_3f2" may mean 2 checkpoints: ${FIRST} (5 min ago), ${SECOND} (5 min ago) (invalid_request)\nremedy: Write more of the id, or "latest".`,
    )
  })

  test('an unknown one is not found, and the remedy is a command line', async () => {
    const ran = await said('restore mend builder dead')
    expect(ran).toMatchObject({ code: 3, calls: [] })
    expect(ran.stderr).toBe(
      'error: No checkpoint of seat "builder" in mission 0b9f2c52 has the id "dead" (checkpoint_not_found)\n' +
        'remedy: List them with: lazarus checkpoints 0b9f2c52 builder\n',
    )
    expect(await call(['restore', 'mend', 'builder', ''])).toMatchObject({ code: 3, calls: [] })
    const none = await said('checkpoint verify mend builder', { listCheckpoints: () => [] })
    expect([none.code, none.stderr]).toEqual([3, expect.stringContaining('has no checkpoint (checkpoint_not_found)')])
  })

  test('a corrupt one is refused: exit code 4', async () => {
    const verifyCheckpoint = async () => {
      throw new LazarusError('checkpoint_corrupt', 'it differs')
    }
    expect((await said('checkpoint verify mend builder', { verifyCheckpoint })).code).toBe(4)
  })
})

test.each([
  ['checkpoint'],
  ['checkpoint mend'],
  ['checkpoint mend builder extra'],
  ['checkpoint rm mend builder'],
  ['checkpoint prune mend builder --keep some'],
  ['checkpoint prune mend builder --keep 0'],
  ['checkpoint fork mend builder latest'],
  ['checkpoint fork mend builder latest second --into twin --new-mission trial'],
  ['checkpoint fork mend builder latest second --resume-command []'],
  ['checkpoint fork mend builder latest second --resume-command [1]'],
  ['checkpoint fork mend builder latest second --resume-command ["sh"'],
  ['checkpoint fork mend builder latest second --resume-command '],
  ['checkpoints mend'],
  ['restore mend builder'],
])('lazarus %s: exit code 2, in words', async (line) => {
  const { code, stdout, stderr, calls } = await said(line)
  expect({ code, stdout, calls }).toEqual({ code: 2, stdout: '', calls: [] })
  expect(stderr).toMatch(/^error: /)
})
