import { execFileSync } from 'node:child_process'
import type { Command } from 'commander'
import { describe, expect, test } from 'vitest'
import { verbsOf } from '../../src/cli/completion.ts'
import { buildProgram } from '../../src/cli/program.ts'
import { applicationOf, MISSION, missionOf, OTHER_MISSION, raise, seatOf } from '../http/stage.ts'
import { lazarus, on } from './terminal.ts'

const program = buildProgram(async () => {}, '9.9.9')
const leaves = (command: Command): Command[] =>
  command.commands.length === 0 ? [command] : command.commands.flatMap(leaves)
/** May be left out: "lazarus checkpoint take" is "lazarus checkpoint". */
const USUAL = new Set(['checkpoint take', 'revivals ls'])
const spoken = (name: string): string => (USUAL.has(name) ? name.split(' ')[0]! : name)
const nameOf = (command: Command): string =>
  [command.parent?.parent ? command.parent.name() : '', command.name()].filter(Boolean).join(' ')
const verbs = leaves(program).map((command) => [nameOf(command), command] as const)

const CONTRACT = [
  'serve',
  'status',
  'health',
  'doctor',
  'service install',
  'service uninstall',
  'service print',
  'dead-man',
  'init-cell',
  'scan',
  'mission create',
  'mission ls',
  'mission inspect',
  'mission pause',
  'mission resume',
  'mission complete',
  'mission archive',
  'run',
  'seat add',
  'seat ls',
  'seat rm',
  'seat usage',
  'exec',
  'logs',
  'kill',
  'diff',
  'collect',
  'destroy',
  'withdraw',
  'ps',
  'events',
  'checkpoint take',
  'checkpoint verify',
  'checkpoint rm',
  'checkpoint prune',
  'checkpoint fork',
  'checkpoints',
  'restore',
  'revive',
  'revivals ls',
  'revivals approve',
  'revivals decline',
  'incidents',
  'home seal',
  'home verify',
  'completion',
  'version',
]

test('every verb of the contract for this issue is there, and no other', () => {
  expect(verbs.map(([name]) => name).sort()).toEqual([...CONTRACT].sort())
})

test.each(verbs)('%s: help with a summary, the common options and examples that parse', async (name, command) => {
  const { code, stdout, stderr } = await lazarus([...name.split(' '), '--help'])
  expect([code, stderr]).toEqual([0, ''])
  expect(command.description().length).toBeGreaterThan(15)
  for (const option of ['--json', '--state-dir', '--socket', '--url', '--help']) expect(stdout).toContain(option)
  const examples = stdout.split('Examples:\n')[1]?.trimEnd().split('\n') ?? []
  expect(examples.length).toBeGreaterThan(0)
  for (const example of examples) expect(example).toMatch(new RegExp(`lazarus ${spoken(name)}( |$|\\))`))
})

describe('bad usage is exit code 2, in words', () => {
  test.each([
    [''],
    ['nonsense'],
    ['mission'],
    ['mission nonsense'],
    ['mission create'],
    ['mission create a b'],
    ['exec mend'],
    ['run'],
    ['mission create x --level 9'],
    ['mission create x --limit speed=9'],
    ['mission create x --limit memory=lots'],
    ['mission create x --workspace magic'],
    ['mission create x --timeout soon'],
    ['seat add m a --role boss'],
    ['seat add m a --env novalue'],
    ['logs m a --tail some'],
    ['ps --nonsense'],
    ['ps extra'],
    ['completion tcsh'],
    ['exec m a ls -l'],
  ])('lazarus %s', async (line) => {
    const { code, stderr } = await lazarus(line.split(' ').filter(Boolean))
    expect(code).toBe(2)
    expect(stderr).not.toBe('')
    expect(stderr).not.toMatch(/ {4}at /)
  })

  test('a verb that is nearly right is suggested', async () => {
    expect((await lazarus(['mision'])).stderr).toContain('Did you mean mission?')
  })
})

describe('without a pit', () => {
  test.each(['status', 'ps', 'mission ls', `destroy ${MISSION}`, 'events', 'scan', 'home seal'])(
    '%s says so and how to start one',
    async (line) => {
      const { code, stderr } = await lazarus(line.split(' '))
      expect(code).toBe(1)
      expect(stderr).toMatch(
        /No pit listens on \/nonexistent\/lazarus\/api\.sock \(pit_not_running\)\nremedy: .*lazarus serve/,
      )
    },
  )

  test('doctor probes this host itself', async () => {
    const host = {
      version: '1',
      os: 'Debian',
      kernel: '6',
      user: 'me',
      cgroups: 'v2' as const,
      delegated_controllers: ['memory'],
      overlay: true,
      probed_at: '',
      checks: [],
    }
    const level = { level: 'level_1' as const, reason: null, remedy: null, effective: null, checks: [] }
    const failing = { name: 'userns', ok: false, message: 'not allowed', remedy: 'allow it', promise: null }
    const ready = await lazarus(['doctor'], {
      local: { doctor: async () => ({ ...host, levels: [{ ...level, status: 'ready' }] }) },
    })
    expect(ready).toEqual({
      code: 0,
      stderr: '',
      stdout:
        'host       Debian, kernel 6, user me\ncgroups    v2, delegated: memory\nworktrees  overlay layers\n\nLEVEL    STATUS  REASON\nlevel_1  ready   -\n',
    })
    const none = await lazarus(['doctor'], {
      local: {
        doctor: async () => ({
          ...host,
          levels: [{ ...level, status: 'unavailable', reason: 'no namespaces', checks: [failing, failing] }],
        }),
      },
    })
    expect([none.code, none.stdout.split('To mend:\n')[1]]).toEqual([5, '- userns: not allowed\n  remedy: allow it\n'])
  })

  test('version, help and completion need none', async () => {
    expect(await lazarus(['version'])).toEqual({ code: 0, stdout: 'lazarus 9.9.9\n', stderr: '' })
    expect((await lazarus(['version', '--json'])).stdout).toBe('{"version":"9.9.9"}\n')
    expect((await lazarus(['--version'])).stdout).toBe('9.9.9\n')
    expect((await lazarus(['--help'])).code).toBe(0)
    expect((await lazarus(['help', 'run'])).stdout).toContain('Examples:')
  })
})

describe('naming a mission', () => {
  const missions = [
    missionOf({ mission_name: 'mend' }),
    missionOf({ mission_id: OTHER_MISSION, mission_name: 'twin' }),
    missionOf({ mission_id: '7d000000-0000-4000-8000-000000000000', mission_name: 'twin', status: 'archived' }),
    missionOf({ mission_id: '7e000000-0000-4000-8000-000000000000', mission_name: '0b9f' }),
  ]
  const inspected = async (text: string) => {
    let found = ''
    await using stage = await raise(
      applicationOf([seatOf('a')], {
        listMissions: () => missions,
        inspectMission: (id) => {
          found = id
          return missionOf()
        },
      }),
    )
    const { code, stderr } = await on(stage, ['mission', 'inspect', text])
    return found || `${code} ${stderr}`
  }

  test('by name, prefix, whole id; a living one before one that is over', async () => {
    expect(await inspected('mend')).toBe(MISSION)
    expect(await inspected('0b9f2')).toBe(MISSION)
    expect(await inspected('0B9F2C')).toBe(MISSION)
    expect(await inspected(MISSION)).toBe(MISSION)
    expect(await inspected('twin')).toBe(OTHER_MISSION)
    expect(await inspected('7d')).toBe(OTHER_MISSION)
    expect(await inspected('7d00')).toBe(missions[2]!.mission_id)
  })

  test('an ambiguous one lists the candidates, an unknown one is not found', async () => {
    expect(await inspected('7')).toMatch(
      new RegExp(`^2 error: .*may mean 2 missions: ${OTHER_MISSION} \\(twin\\), 7e0`),
    )
    expect(await inspected('0b9f')).toMatch(/^2 error: .*may mean 2 missions/)
    expect(await inspected('none')).toMatch(/^3 error: .*mission_not_found/)
  })
})

describe('completion', () => {
  const scriptOf = async (shell: string) => (await lazarus(['completion', shell])).stdout

  test('bash takes it, and it knows every verb and option', async () => {
    const script = await scriptOf('bash')
    execFileSync('bash', ['-n'], { input: script })
    for (const { path, options, children } of verbsOf(program)) {
      const words = execFileSync('bash', ['-c', `${script}\n_lazarus_words "$1"`, 'bash', path])
        .toString()
        .trim()
        .split(' ')
      expect(words).toEqual([...children, ...options])
    }
  })

  const complete = async (...words: string[]) => {
    const script = `${await scriptOf('bash')}
lazarus() {
  case $1 in
    mission) printf '%s\\n' mend twin ;;
    checkpoints) echo "checkpoint-of-$2-$3" ;;
    revivals) echo rev_one ;;
    *) echo "agent-of-$3" ;;
  esac
}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lazarus; printf '%s\\n' "\${COMPREPLY[@]}"`
    return execFileSync('bash', ['-c', script, 'bash', 'lazarus', ...words])
      .toString()
      .trim()
      .split('\n')
  }

  test('verbs, options, missions and agents', async () => {
    expect(await complete('mi')).toEqual(['mission'])
    expect(await complete('mission', 'ar')).toEqual(['archive'])
    expect(await complete('destroy', '--f')).toEqual(['--force'])
    expect(await complete('destroy', '')).toEqual(['mend', 'twin'])
    expect(await complete('mission', 'inspect', 'm')).toEqual(['mend'])
    expect(await complete('logs', '-f', 'mend', '')).toEqual(['agent-of-mend'])
    expect(await complete('completion', 'f')).toEqual(['fish'])
    expect(await complete('checkpoint', 'v')).toEqual(['verify'])
    expect(await complete('checkpoint', 'm')).toEqual(['mend'])
    expect(await complete('checkpoint', 'mend', '')).toEqual(['agent-of-mend'])
    expect(await complete('checkpoint', 'rm', 'mend', '')).toEqual(['agent-of-mend'])
    expect(await complete('restore', 'mend', 'ada', '')).toEqual(['latest', 'checkpoint-of-mend-ada'])
    expect(await complete('checkpoint', 'verify', 'mend', 'ada', 'l')).toEqual(['latest'])
    expect(await complete('revivals', 'approve', '')).toEqual(['rev_one'])
  })

  test.each(['zsh', 'fish'])('%s knows every verb', async (shell) => {
    const script = await scriptOf(shell)
    for (const { children } of verbsOf(program)) for (const child of children) expect(script).toContain(child)
  })
})
