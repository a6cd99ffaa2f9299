import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { beforeAll, expect, test, vi } from 'vitest'
import { lazarusProcess } from '../support/lazarus-process.ts'
import { PACE } from '../support/pace.ts'

/** A user with a systemd manager, and a directory that the test may use. */
export interface ServiceHost {
  readonly dir: string
  readonly environment: Record<string, string>
}

const PIT = 'lazarus-pit.service'
const UNITS = [PIT, 'lazarus-dead-man.service', 'lazarus-dead-man.timer']
/** Seconds of silence that are an outage: the timer comes five times within it. */
const AFTER = 10 * Math.min(PACE, 6)
const WITHIN_MS = 90_000 * PACE

/** The life of the service under a real manager, as an operator has it. Each test goes on where the one before ended. */
export function serviceSuite(hostOf: () => ServiceHost): void {
  vi.setConfig({ testTimeout: 2 * WITHIN_MS })
  let host: ServiceHost
  let environment: Record<string, string>
  let mission = ''
  const units = () => join(environment.XDG_CONFIG_HOME ?? join(host.environment.HOME!, '.config'), 'systemd', 'user')

  const lazarus = (...args: string[]) => lazarusProcess(args, environment)
  const systemctl = (...args: string[]) =>
    execFileSync('systemctl', ['--user', ...args], { env: environment, stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim()
  const property = (name: string, unit = PIT) => systemctl('show', `--property=${name}`, '--value', unit)
  const pid = () => Number(property('MainPID'))
  /** 0 would be our own process group. */
  const signal = (to: number, name: NodeJS.Signals) => {
    expect(to).toBeGreaterThan(0)
    process.kill(to, name)
  }
  const ask = async (...args: string[]) => {
    const { stdout, stderr } = await lazarus(...args, '--json')
    if (stdout === '') throw new Error(stderr)
    return JSON.parse(stdout)
  }
  const alerts = () =>
    existsSync(join(host.dir, 'alerts'))
      ? readFileSync(join(host.dir, 'alerts'), 'utf8')
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line).event)
      : []
  /** A drop-in, as an operator would make one. A watchdog only where the pit may talk to the manager. */
  const adjust = async (restart: 'no' | 'on-failure') => {
    const watchdog = property('Type') === 'notify' ? `WatchdogSec=${8 * PACE}\n` : ''
    await mkdir(join(units(), `${PIT}.d`), { recursive: true })
    await writeFile(join(units(), `${PIT}.d`, 'test.conf'), `[Service]\nRestart=${restart}\n${watchdog}`)
    systemctl('daemon-reload')
  }
  /** The seat's own process goes on, in its first generation. */
  const agentGoesOn = async () =>
    expect(await ask('seat', 'ls', mission)).toMatchObject({
      seats: [{ agent_id: 'a', status: 'active', generation: 1 }],
    })

  beforeAll(async () => {
    host = hostOf()
    const config = join(host.dir, 'config.json')
    await writeFile(config, JSON.stringify({ dead_man: { after: AFTER, file: join(host.dir, 'alerts') } }))
    environment = {
      ...host.environment,
      LAZARUS_STATE_DIR: join(host.dir, 'state'),
      LAZARUS_MISSIONS_PATH: join(host.dir, 'missions'),
      LAZARUS_CONFIG: config,
      LAZARUS_LISTEN: '127.0.0.1:0',
      // Nothing here is about containers; what a killed pit leaves of a container runtime ends by itself, but late.
      DOCKER_HOST: 'unix:///nonexistent/podman.sock',
    }
  })

  test('install writes, enables and starts; a second one changes nothing', async () => {
    const first = await ask('service', 'install')
    expect(first).toMatchObject({ running: true, units: UNITS.map((name) => ({ name, action: 'written' })) })
    await adjust('on-failure')
    const second = await ask('service', 'install')
    expect(second).toMatchObject({ running: true, units: UNITS.map((name) => ({ name, action: 'unchanged' })) })
    expect(systemctl('is-enabled', PIT, 'lazarus-dead-man.timer')).toBe('enabled\nenabled')
    systemctl('restart', PIT)
    await until(async () => (await lazarus('status')).code === 0)
    expect((await ask('status')).pid).toBe(pid())
    mission = (await ask('mission', 'create', 'served', '--level', '1')).mission_id
    expect((await lazarus('seat', 'add', mission, 'a', '--', 'sleep', '1000000')).code).toBe(0)
  })

  test('killed, the pit is started again and adopts its agents', async () => {
    const before = pid()
    signal(before, 'SIGKILL')
    await until(async () => (await ask('status')).recovered === true)
    expect(pid()).not.toBe(before)
    await agentGoesOn()
    expect(Number(property('NRestarts'))).toBe(1)
  })

  test('a pit that hangs is ended by the watchdog, and the next one adopts its agents', async () => {
    const watched = property('Type') === 'notify'
    // A manager before 254 gets another unit, for the sake of cgroups with limits, of which a private one has none.
    if (!watched) {
      const newest = await lazarusProcess(['service', 'print', PIT], {
        ...environment,
        XDG_RUNTIME_DIR: '/nonexistent',
      })
      await writeFile(join(units(), PIT), newest.stdout)
      systemctl('daemon-reload')
      await adjust('on-failure')
      systemctl('restart', PIT)
    }
    expect(property('StatusText')).toMatch(/^listens on .*api\.sock/)
    const before = pid()
    signal(before, 'SIGSTOP')
    await until(async () => pid() !== before && (await ask('status')).recovered === true)
    expect(property('ActiveState')).toMatch(/^activ/)
    await agentGoesOn()
    expect((await ask('service', 'install')).units[0].action).toBe(watched ? 'unchanged' : 'replaced')
    await adjust('on-failure')
    systemctl('restart', PIT)
    await until(async () => (await ask('status')).recovered === true)
    // Where that took long enough, the dead-man switch was right to say so.
    await until(async () => alerts().at(-1) !== 'pit_dead')
  })

  test('a second pit beside it refuses, and the service does not mind', async () => {
    const before = pid()
    expect((await lazarus('serve')).code).toBe(4)
    expect(pid()).toBe(before)
  })

  test('stopped by systemctl, it is not missed', async () => {
    systemctl('stop', PIT)
    await until(async () => pid() === 0)
    const stopped = performance.now()
    const before = alerts().length
    while (performance.now() - stopped < AFTER * 1000) {
      const look = await lazarus('dead-man', '--json')
      expect([look.code, JSON.parse(look.stdout).status]).toEqual([0, 'stopped'])
    }
    expect(alerts().slice(before)).toEqual([])
  })

  test('killed for good, the timer raises the alert once; started again, it tells that too', async () => {
    await adjust('no')
    systemctl('start', PIT)
    await until(async () => (await ask('status')).recovered === true)
    await agentGoesOn()
    await until(async () => (await ask('dead-man')).status === 'alive')
    const before = alerts().length
    const killed = performance.now()
    signal(pid(), 'SIGKILL')
    await until(async () => alerts().length > before)
    expect(performance.now() - killed).toBeLessThan((AFTER + 5 * PACE) * 1000)
    await until(async () => property('Result', 'lazarus-dead-man.service') === 'exit-code')
    systemctl('reset-failed')
    systemctl('start', PIT)
    await until(async () => alerts().length > before + 1)
    expect(alerts().slice(before)).toEqual(['pit_dead', 'pit_back'])
  })

  test('uninstall stops it cleanly and leaves nothing; a second one finds nothing', async () => {
    await until(async () => (await ask('status')).recovered === true)
    expect((await lazarus('destroy', mission, '--force')).code).toBe(0)
    const removed = await ask('service', 'uninstall')
    expect(removed.units).toEqual(UNITS.map((name) => ({ name, action: 'removed' })))
    expect(UNITS.filter((name) => existsSync(join(units(), name)))).toEqual([])
    expect(existsSync(join(host.dir, 'state', 'stopped.json'))).toBe(true)
    expect((await ask('service', 'uninstall')).units[0]).toEqual({ name: PIT, action: 'absent' })
  })
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WITHIN_MS
  while (!(await holds().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`it did not come about within ${WITHIN_MS / 1000} s: ${holds}`)
    await pause(100)
  }
}
