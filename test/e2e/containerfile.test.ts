import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createLocalPit } from '../../src/main/local-pit.ts'
import { buildPitImage, cli, PitContainer, podman } from '../support/pit-container.ts'
import { git, makeRepository } from '../support/repository.ts'

/** The pit itself in a container (built here when it is not there yet), the cells beside it in the same Podman. */
let image: string
let pit: PitContainer
let repository: Awaited<ReturnType<typeof makeRepository>>
beforeAll(async () => {
  repository = await makeRepository({ 'README.md': '# Project\n' })
  image = await buildPitImage()
  pit = await PitContainer.start(image, ['--volume', `${repository.path}:${repository.path}:ro`])
}, 600_000)
afterAll(async () => {
  await pit?.[Symbol.asyncDispose]()
  await repository?.[Symbol.asyncDispose]()
})

const LEVELS = ['level_1', 'level_2', 'level_3'] as const
type Level = (typeof LEVELS)[number]

const answered = async (method: string, path: string, body?: unknown) => {
  const answer = await pit.call(method, path, body)
  expect(answer.body.error ?? undefined).toBeUndefined()
  return answer.body
}

const open = async (level: Level): Promise<string> =>
  (
    await answered('POST', '/v1/missions', {
      mission_name: `in a container, ${level}`,
      isolation_level: level,
      repo: repository.path,
    })
  ).mission_id

const sh = (mission: string, script: string) =>
  answered('POST', `/v1/missions/${mission}/seats/ada/exec`, { command: ['sh', '-c', script] })

const SELF = { uid: process.getuid!(), pid: process.pid, exit: process.exit }

/** Containers of the mission beside the pit's own; the throw-away ones of a probe belong to none. */
const cells = async (mission: string) =>
  (await podman('ps', '--all', '--quiet', '--filter', `label=lazarus.mission=${mission}`)).split('\n').filter(Boolean)

describe('the pit in a container of its image', () => {
  test('says of level_1, level_2 and level_3 what a pit outside of the container says', async () => {
    const inside = await answered('GET', '/v1/host')
    const environment = { ...pit.environment, LAZARUS_STATE_DIR: `${pit.directory}/outside` }
    const outside = await createLocalPit(environment, SELF).doctor(`${pit.directory}/outside`)
    const usable = ({ levels }: typeof outside) =>
      Object.fromEntries(levels.map(({ level, status }) => [level, status !== 'unavailable']))
    expect(usable(inside)).toEqual(usable(outside))
    expect(usable(inside)).toMatchObject({ level_3: true })
    for (const { status, reason } of inside.levels) expect(reason === null).toBe(status === 'ready')
    expect(inside).toMatchObject({ user: 'lazarus', overlay: outside.overlay, kernel: outside.kernel })
  })

  test('has no rights but those of the operator, and knows the homes of the host', async () => {
    const status = readFileSync(
      `/proc/${JSON.parse(readFileSync(`${pit.stateDir}/pit.json`, 'utf8')).pid}/status`,
      'utf8',
    )
    const field = (name: string) => new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(status)?.[1]
    expect([field('Uid'), field('NoNewPrivs'), field('Seccomp')]).toEqual([String(process.getuid!()), '1', '2'])
    // SETGID, SETUID and SETFCAP, in the user namespace of the operator's Podman
    expect(BigInt(`0x${field('CapBnd')}`)).toBe((1n << 6n) | (1n << 7n) | (1n << 31n))
    const seal = await answered('POST', '/v1/homes/seal', {})
    const homes = readdirSync('/home', { withFileTypes: true }).filter((entry) => entry.isDirectory())
    expect(seal.homes).toEqual(expect.arrayContaining(['/root', ...homes.map(({ name }) => `/home/${name}`)]))
  })

  test('answers the CLI inside, and the CLI outside through its socket', async () => {
    const status = ['status', '--json', '--state-dir', pit.stateDir]
    expect(JSON.parse(await pit.cli(...status))).toMatchObject({ status: 'ok' })
    expect(JSON.parse(await cli(...status))).toMatchObject({ status: 'ok' })
  })

  test.each(LEVELS)('carries a mission at %s from the repository to the proof', async (level) => {
    const facts = await answered('GET', '/v1/host')
    if (facts.levels.find((one: { level: Level }) => one.level === level).status === 'unavailable') {
      const { status, body } = await pit.call('POST', '/v1/missions', { mission_name: 'no', isolation_level: level })
      expect([status, body.error.code, typeof body.error.remedy]).toEqual([503, 'isolation_unavailable', 'string'])
      return
    }
    const mission = await open(level)
    const { directory } = await answered('GET', `/v1/missions/${mission}`)
    const seat = await answered('POST', `/v1/missions/${mission}/seats`, { agent_id: 'ada', role: 'write' })
    expect(seat.isolation.effective).toMatchObject({ no_new_privs: true, capabilities: [], network: 'none' })
    expect(seat.isolation.effective.namespaces).toEqual(expect.arrayContaining(['user', 'mount', 'pid', 'ipc', 'uts']))
    expect(await cells(mission)).toHaveLength(level === 'level_3' ? 1 : 0)

    const self = await sh(mission, 'curl -sS --unix-socket /run/lazarus/cell.sock http://pit/v1/self')
    expect(JSON.parse(self.stdout)).toMatchObject({ agent_id: 'ada', mission_id: mission })
    const commit = await sh(mission, 'echo ada >who && git add who && git commit -qm "Ada was here" && id -u')
    expect(commit).toMatchObject({ exit_code: 0, stdout: '1000\n' })
    const collected = await answered('POST', `/v1/missions/${mission}/seats/ada/collect`)
    expect(collected).toMatchObject({ outcome: 'delivered', commits: [{ subject: 'Ada was here' }] })
    // The paths of the pit are the host's: its answer can be fetched from as it stands.
    expect(await git(collected.repository, 'log', '--format=%s', '-1', 'refs/heads/mission/ada')).toBe('Ada was here')

    const proof = await answered('DELETE', `/v1/missions/${mission}`)
    expect(proof).toMatchObject({ status: 'destroyed', homes: { changed: [] } })
    expect(proof.homes.checked).toBeGreaterThan(0)
    expect(proof.released.containers).toBe(level === 'level_3' ? 1 : 0)
    expect([await cells(mission), existsSync(directory)]).toEqual([[], false])
  })

  test('may crash: a cell at level_3 lives on beside it and is adopted by the next one', async () => {
    const mission = await open('level_3')
    await answered('POST', `/v1/missions/${mission}/seats`, { agent_id: 'ada', role: 'write' })
    await sh(mission, 'echo before >/tmp/mark')
    const before = await cells(mission)
    await pit.stop('crash')
    expect(await cells(mission)).toEqual(before)
    await pit.start()
    expect(await sh(mission, 'cat /tmp/mark')).toMatchObject({ stdout: 'before\n' })
    expect(await cells(mission)).toEqual(before)
  })

  test('sees an agent at level_3 end, by the exit files of conmon', async () => {
    const mission = await open('level_3')
    const command = ['sh', '-c', 'exit 3']
    await answered('POST', `/v1/missions/${mission}/seats`, { agent_id: 'bob', role: 'write', command })
    const { data } = await pit.firstEvent(`mission_id=${mission}&types=seat_exited`)
    expect(data.exit).toMatchObject({ cause: 'exit', code: 3 })
    expect(pit.log).toContain('the pit listens')
    expect(pit.log).not.toContain('cannot be watched')
  })

  test('leaves nothing behind: no container, process, mount or directory of level_3', async () => {
    const { body } = await pit.call('GET', '/v1/missions')
    for (const { mission_id } of body.missions) await answered('DELETE', `/v1/missions/${mission_id}?force=true`)
    await pit.stop()
    expect(await podman('ps', '--all', '--quiet', '--filter', `label=${pit.label}`)).toBe('')
    expect(await podman('ps', '--all', '--quiet', '--filter', `name=${pit.name}`)).toBe('')
    expect(
      await podman('images', '--quiet', '--filter', 'dangling=true', '--filter', 'label=org.lazarus-pit.pit'),
    ).toBe('')
    const mounts = await podman('unshare', 'cat', '/proc/self/mountinfo')
    expect(mounts.split('\n').filter((line) => line.includes(pit.directory))).toEqual([])
    expect(processesNaming(pit.stateDir)).toEqual([])
    for (const place of ['missions', 'sandboxes', 'doors']) {
      expect([place, ...readdirSync(`${pit.stateDir}/${place}`)]).toEqual([place])
    }
    await pit.start()
  })
})

describe('the image of the pit without its flags', () => {
  test('promises nothing: level_1, level_2 and level_3 are unavailable with reason and remedy', async () => {
    const container = podman(
      'run',
      '--rm',
      '--network',
      'none',
      '--no-healthcheck',
      '--init',
      image,
      'doctor',
      '--json',
    )
    const { code, stdout } = await container.then(
      (text) => ({ code: 0, stdout: text }),
      (error) => error,
    )
    expect(code).toBe(5)
    for (const { status, reason, remedy } of JSON.parse(stdout).levels) {
      expect([status, typeof reason, typeof remedy]).toEqual(['unavailable', 'string', 'string'])
    }
  })

  test('in a user namespace of its own it cannot measure level_3, and says so', async () => {
    const operator = `${process.getuid!()}:${process.getgid!()}`
    const { levels } = await pit.doctor('--userns=keep-id', '--user', operator)
    expect(levels.find(({ level }) => level === 'level_3')).toMatchObject({
      status: 'unavailable',
      reason: expect.stringContaining('namespaces of process'),
    })
  })
})

function processesNaming(path: string): string[] {
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(path)
    } catch {
      return false
    }
  })
}
