import { describe, expect, test } from 'vitest'
import type { Application } from '../../src/app/application.ts'
import type { Incident, Revival } from '../../src/contract/revival.ts'
import type { ExitFact, RevivedSeat, Seat } from '../../src/contract/seat.ts'
import { AT, applicationOf, MISSION, missionOf, raise, seatOf, seatToken } from '../http/stage.ts'
import { on, recording } from './terminal.ts'

const CKPT = 'ckpt_3f2a1'.padEnd(29, '0')
/** Five minutes have passed since AT on the terminal. */
const at = (after_ms: number) => new Date(Date.parse(AT) + 300_000 + after_ms).toISOString()

const exit: ExitFact = {
  cause: 'signal',
  code: null,
  signal: 'SIGKILL',
  died_at: at(-3000),
  noticed_at: at(-2990),
  noticed_by: 'shim',
}
const revivalOf = (revival_id: string, agent_id: string, fields: Partial<Revival> = {}): Revival => ({
  revival_id,
  mission_id: MISSION,
  agent_id,
  generation: 1,
  cause: 'signal',
  attempt: 1,
  queued_at: at(-3000),
  not_before: at(-3000),
  deadline: at(297_000),
  approval: 'not_needed',
  substitute: null,
  ...fields,
})
const [ASKS, WAITS, SUBSTITUTED] = ['rev_asksasks1', 'rev_waitwait2', 'rev_subssubs3']
const queue = [
  revivalOf(ASKS, 'asks', { approval: 'needed' }),
  revivalOf(WAITS, 'waits', { attempt: 2, not_before: at(4000) }),
  revivalOf(SUBSTITUTED, 'tired', { cause: 'oom', substitute: 'second' }),
]
const seats: Seat[] = [
  seatOf('builder', { generation: 2, resumed_from: 'live' }),
  seatOf('asks', { status: 'awaiting_approval', exit }),
  seatOf('waits', { status: 'dead', exit, generation: 3, resumed_from: CKPT }),
  seatOf('tired', { status: 'dead', exit: { ...exit, cause: 'oom' } }),
  seatOf('done', { status: 'dead', exit: { ...exit, cause: 'exit', code: 0, signal: null } }),
  seatOf('gone', { status: 'quarantined', exit, quarantine: '3 of 3 revivals within 600 s are used up' }),
]
const incidentOf = (fields: Partial<Incident>): Incident => ({
  incident_id: 'inc_7',
  mission_id: MISSION,
  agent_id: 'builder',
  generation: 1,
  cause: 'signal',
  code: null,
  signal: 'SIGKILL',
  died_at: at(-3000),
  noticed_by: 'shim',
  time_to_detect_ms: 3.2,
  outcome: 'revived',
  reason: null,
  revived_at: at(-2960),
  time_to_revive_ms: 41.5,
  resumed_from: 'live',
  checkpoint_age_ms: 9000,
  work_lost_ms: 0,
  ...fields,
})
const incidents = [
  incidentOf({}),
  incidentOf({
    incident_id: 'inc_9',
    generation: 2,
    cause: 'exit',
    code: 3,
    signal: null,
    resumed_from: CKPT,
    work_lost_ms: 95_000,
    time_to_revive_ms: 1200,
  }),
  incidentOf({
    incident_id: 'inc_11',
    generation: 3,
    cause: 'oom',
    signal: null,
    outcome: 'quarantined',
    reason: 'used up',
    revived_at: null,
    time_to_revive_ms: null,
    resumed_from: null,
    work_lost_ms: null,
  }),
]
const revived: RevivedSeat = { ...seats[0]!, token: 'shown-once', revive_ms: 25 }

const everything: Partial<Application> = {
  listRevivals: () => queue,
  listIncidents: () => incidents,
  approveRevival: async () => seats[1]!,
  declineRevival: async () => ({ ...seats[1]!, status: 'released' }),
  reviveSeat: async () => revived,
  listCheckpoints: () => [{ checkpoint_id: CKPT, created_at: AT } as never],
}

async function said(line: string, over: Partial<Application> = {}) {
  const { app, calls } = recording(applicationOf(seats, { ...everything, ...over }))
  await using stage = await raise(app)
  const ran = await on(stage, line.split(' '))
  const looks = new Set(['listMissions', 'listRevivals', 'listIncidents', 'listCheckpoints', 'listSeats'])
  return { ...ran, calls: calls.filter(([name]) => !looks.has(name)), all: calls }
}

describe('argv → request', () => {
  test.each<[string, unknown[]]>([
    ['revive mend builder', ['reviveSeat', MISSION, 'builder', {}]],
    ['revive mend builder --as second', ['reviveSeat', MISSION, 'builder', { agent_id: 'second' }]],
    [`revive mend builder --from ${CKPT}`, ['reviveSeat', MISSION, 'builder', { checkpoint_id: CKPT }]],
    ['revivals approve rev_asksasks1', ['approveRevival', ASKS]],
    ['revivals approve wait', ['approveRevival', WAITS]],
    ['revivals decline rev_s', ['declineRevival', SUBSTITUTED]],
    [
      'mission create mend --auto-revive ask --max-retries 5 --retry-window 1h --revive-timeout 90 --substitute b,c --substitute d --hung-after 10m --on-success restart --checkpoint-interval 30s',
      [
        'createMission',
        expect.objectContaining({
          policies: {
            auto_revive: 'ask',
            max_retries: 5,
            retry_window: 3600,
            revive_timeout: 90,
            substitute_agents: ['b', 'c', 'd'],
            hung_after: 600,
            on_success: 'restart',
            checkpoint_interval: 30,
          },
        }),
      ],
    ],
    [
      'seat add mend coder --resume-command ["claude","--continue"] --heartbeat-interval 2m -- claude',
      [
        'addSeat',
        MISSION,
        {
          agent_id: 'coder',
          role: 'write',
          command: ['claude'],
          resume_command: ['claude', '--continue'],
          heartbeat_interval: 120,
        },
      ],
    ],
  ])('%s', async (line, expected) => {
    const { calls, stderr } = await said(line)
    expect(calls, stderr).toEqual([expected])
  })

  test('incidents of one mission, and how many', async () => {
    expect((await said('incidents mend')).all).toContainEqual(['listIncidents', MISSION])
    expect((await said('incidents')).all).toContainEqual(['listIncidents', undefined])
    const { stdout } = await said('incidents mend --limit 1')
    expect(stdout).toMatch(/oom .*quarantined/)
    expect(stdout).toContain('… there are older ones: --limit 10\n')
  })
})

describe('what is printed', () => {
  test('revivals', async () => {
    const expected = [
      'ID             MISSION   AGENT  GEN  CAUSE   TRY  QUEUED     GIVEN UP  NEXT',
      `${ASKS}  0b9f2c52  asks     1  signal    1  3.0 s ago  in 5 min  revival waits for approval`,
      `${WAITS}  0b9f2c52  waits    1  signal    2  3.0 s ago  in 5 min  revival in 4.0 s`,
      `${SUBSTITUTED}  0b9f2c52  tired    1  oom       1  3.0 s ago  in 5 min  substitution by second under way`,
      '',
    ].join('\n')
    expect((await said('revivals')).stdout).toBe(expected)
    expect((await said('revivals ls')).stdout).toBe(expected)
    expect((await said('revivals --ids')).stdout).toBe(`${ASKS}\n${WAITS}\n${SUBSTITUTED}\n`)
    expect((await said('revivals', { listRevivals: () => [] })).stdout).toBe('Nobody waits to be revived.\n')
    expect(JSON.parse((await said('revivals --json')).stdout)).toEqual({ revivals: queue, next: null })
  })

  test('approve and decline', async () => {
    expect((await said(`revivals approve ${ASKS}`)).stdout).toBe('asks: approved, and being brought back\n')
    expect((await said(`revivals decline ${ASKS}`)).stdout).toBe(
      'asks: declined; the seat is released, its work stays\n',
    )
  })

  test('ps and seat ls: generation, where it came from, why it is not at work, what follows', async () => {
    const rows = (await said('ps')).stdout.trimEnd().split('\n')
    const noteOf = (agent: string) =>
      rows
        .find((row) => row.includes(`mend  ${agent} `))
        ?.split(/ {2,}/)
        .slice(-1)[0]
    expect(rows[1]).toMatch(/builder +write +level_2 +active +2 +live +5 min ago +- +-$/)
    expect(noteOf('asks')).toBe(`SIGKILL 3.0 s ago; revival waits for approval; lazarus revivals approve ${ASKS}`)
    expect(noteOf('waits')).toBe('SIGKILL 3.0 s ago; revival in 4.0 s')
    expect(rows[3]).toContain('  3  ckpt_3f2a1000  ')
    expect(noteOf('tired')).toBe('oom 3.0 s ago; substitution by second under way')
    expect(noteOf('done')).toBe('exit 0 3.0 s ago')
    expect(noteOf('gone')).toBe('3 of 3 revivals within 600 s are used up; lazarus revive 0b9f2c52 gone')
    expect((await said('seat ls mend')).stdout).toContain('SIGKILL 3.0 s ago; revival in 4.0 s\n')
  })

  test('ps asks for the queue only where somebody may wait in it', async () => {
    const quiet = { listMissions: () => [missionOf({ seats: [seats[0]!] })] }
    expect((await said('ps', quiet)).all.map(([name]) => name)).toEqual(['listMissions'])
  })

  test('who sits in a cell may not see the queue, and sees the mission without it', async () => {
    await using stage = await raise(applicationOf(seats, everything))
    const words = ['mission', 'inspect', MISSION, '--url', stage.at.url]
    const { code, stdout } = await on(stage, words, { token: seatToken('builder') })
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^waits .* SIGKILL 3\.0 s ago$/m)])
  })

  test('mission inspect: the policy in one line, seats by status', async () => {
    const { stdout } = await said('mission inspect mend')
    expect(stdout).toMatch(/^revival +yes; at most 3 times within 10 min$/m)
    expect(stdout).toMatch(/^checkpoints +every 5 min when something changed$/m)
    expect(stdout).toMatch(/: 1 active, 1 awaiting_approval, 3 dead, 1 quarantined$/m)
    const policies = {
      ...missionOf().policies,
      auto_revive: 'no' as const,
      hung_after: 600,
      on_success: 'complete' as const,
    }
    const no = await said('mission inspect mend', { inspectMission: () => missionOf({ policies }) })
    expect(no.stdout).toMatch(/^revival +no; hung after 10 min; on success complete$/m)
  })

  test('incidents', async () => {
    expect((await said('incidents mend')).stdout).toBe(
      [
        'WHEN       AGENT    GEN  CAUSE    DETECT  REVIVE  FROM              LOST  OUTCOME      REASON',
        '3.0 s ago  builder    3  oom        3 ms       -  -                    -  quarantined  used up',
        '3.0 s ago  builder    2  exit 3     3 ms   1.2 s  ckpt_3f2a1000    2 min  revived      -',
        '3.0 s ago  builder    1  SIGKILL    3 ms   42 ms  live           nothing  revived      -',
        '',
      ].join('\n'),
    )
    expect((await said('incidents')).stdout).toMatch(/^WHEN +MISSION +AGENT/)
    expect((await said('incidents', { listIncidents: () => [] })).stdout).toBe('Nobody died.\n')
  })

  test('revive', async () => {
    expect((await said('revive mend builder')).stdout).toBe(
      'agent         builder\nstatus        active\ngeneration    2\nresumed from  its live layer\n' +
        'branch        mission/builder\ntook          25 ms\ntoken         shown-once\n',
    )
  })
})

test('a revival that is not there is exit code 3, an ambiguous one 2', async () => {
  const none = await said('revivals approve nobody')
  expect(none).toMatchObject({ code: 3, calls: [] })
  expect(none.stderr).toContain('revival_not_found')
  const many = await said('revivals decline rev_')
  expect(many).toMatchObject({ code: 2, calls: [] })
  expect(many.stderr).toContain(`may mean 3 revivals: ${ASKS}, ${WAITS}, ${SUBSTITUTED}`)
})

test.each([
  ['revivals nonsense'],
  ['revivals approve'],
  ['revivals decline a b'],
  ['revive mend'],
  ['revive mend builder --from'],
  ['incidents --limit many'],
  ['mission create x --auto-revive maybe'],
  ['mission create x --max-retries -1'],
  ['mission create x --hung-after soon'],
  ['mission create x --on-success dance'],
  ['seat add mend coder --resume-command []'],
  ['seat add mend coder --heartbeat-interval 0'],
])('lazarus %s: exit code 2, in words', async (line) => {
  const { code, stdout, stderr, calls } = await said(line)
  expect({ code, stdout, calls }).toEqual({ code: 2, stdout: '', calls: [] })
  expect(stderr).toMatch(/^error: /)
})
