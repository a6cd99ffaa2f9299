import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { allPids } from '../../src/linux/process.ts'
import { run } from '../../src/linux/run.ts'
import { until } from '../conformance/cell-driver/trial.ts'
import { LEVELS, type Mission, type SeatOnStage, Stage } from './stage.ts'

const OF_THE_PIT = 'canary-in-the-environment-of-the-pit'
const OF_BOB = 'canary-in-the-environment-of-bob'
const OF_AN_EXEC = 'canary-in-the-environment-of-an-exec'
/** Whoever starts the pit has open a file and a directory that are nobody else's business. */
const CARELESS = [
  'bash',
  '-c',
  'exec 7<"$SECRET_FILE" 8<"${SECRET_FILE%/*}" 9>/dev/null; exec "$@" 2>"$PIT_LOG"',
  'careless',
]

const DESCRIPTORS = 'print join(" ", grep { -l "/proc/self/fd/$_" } 0 .. 4095), "\\n"'
/** What /proc tells of everybody, as lines. */
const OF_ALL = 'cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" "\\n"'
/** Prints those of its arguments that a connection can be made to: "@name" is abstract, "host:port" TCP. */
const DIAL = `use Socket; for my $to (@ARGV) {
  my ($family, $address) = $to =~ /^@(.*)/ ? (AF_UNIX, pack_sockaddr_un("\\0$1"))
    : $to =~ /^([0-9.]+):(\\d+)$/ ? (AF_INET, pack_sockaddr_in("$2", inet_aton("$1"))) : (AF_UNIX, pack_sockaddr_un($to));
  socket(my $s, $family, SOCK_STREAM, 0) or next; print "$to\\n" if connect($s, $address) }`

let stage: Stage
let scratch: string
let desk: string
let paths: string[]
let abstract: string
const servers: Server[] = []

async function listen(address: string | { host: string; port: number }): Promise<number> {
  const server = createServer((socket) => socket.destroy())
  servers.push(server)
  if (typeof address === 'string') server.listen(address)
  else server.listen(address)
  await once(server, 'listening')
  return (server.address() as { port?: number }).port ?? 0
}

/** What runs on a desktop or a server beside the pit: agents, buses, runtimes, displays. */
async function furnishHost(): Promise<void> {
  scratch = mkdtempSync('/tmp/ssh-')
  const runtime = process.env.XDG_RUNTIME_DIR!
  const name = `lazarus-test-${process.pid}`
  paths = [join(scratch, 'agent.1'), join(runtime, `${name}-bus`), join('/var/tmp', `${name}-X0`)]
  for (const path of paths) await listen(path)
  abstract = `@/tmp/.X11-unix/${name}`
  await listen(`\0${abstract.slice(1)}`)
  const port = await listen({ host: '127.0.0.1', port: 0 })
  paths.push(`127.0.0.1:${port}`, stage.pit.url.replace('http://', ''), join(stage.pit.stateDir, 'api.sock'))
}

beforeAll(async () => {
  desk = mkdtempSync('/var/tmp/desk-')
  stage = await Stage.open(
    {
      OF_THE_PIT,
      SECRET_FILE: join(desk, 'secret'),
      PIT_LOG: join(desk, 'log'),
      SSH_AUTH_SOCK: '/tmp/agent',
      DBUS_SESSION_BUS_ADDRESS: 'unix:abstract=bus',
    },
    {},
    ['bash', '-c', 'echo canary >"$SECRET_FILE"; exec "$@"', 'secret', ...CARELESS],
  )
  await furnishHost()
})
afterAll(async () => {
  for (const server of servers) server.close()
  for (const directory of [scratch, desk]) if (directory) rmSync(directory, { recursive: true, force: true })
  await stage?.[Symbol.asyncDispose]()
})

const onHost = (...command: string[]) =>
  run(command[0]!, command.slice(1), { environment: { PATH: '/usr/bin:/bin' } }).then(({ stdout }) => stdout.toString())
const readProc = (pid: number, file: string): string => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    return ''
  }
}

describe.each(LEVELS)('what a cell of %s is born with', (level) => {
  let mission: Mission
  let eve: SeatOnStage
  let bob: SeatOnStage
  beforeAll(async () => {
    mission = await stage.mission(level)
    eve = await mission.seat('eve', { command: ['sh', '-c', 'perl -e "$0"; exec sleep infinity', DESCRIPTORS] })
    bob = await mission.seat('bob', { command: ['sleep', 'infinity'], env: { OF_BOB } })
  })

  it('is no descriptor but 0, 1 and 2', async () => {
    const inherited = await onHost('bash', '-c', 'exec 9</dev/null; exec perl -e "$0"', DESCRIPTORS)
    expect(inherited.trim().split(' '), 'positive control').toContain('9')
    expect((await eve.perl(DESCRIPTORS)).stdout).toBe('0 1 2\n')
    expect(await eve.said()).toBe('0 1 2\n')
    const links = (
      await eve.sh(
        'readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2; ls -L /proc/[0-9]*/fd/7 /proc/[0-9]*/fd/8 2>/dev/null',
      )
    ).stdout
      .trim()
      .split('\n')
    expect(links).toHaveLength(3)
    expect(links.filter((link) => !/^\/dev\/null$|^pipe:|\/pipes\/|^socket:/.test(link))).toEqual([])
  })

  it('is no secret of the pit nor of another seat, in an environment or on a command line', async () => {
    const own = await bob.sh(OF_ALL)
    expect(own.stdout, 'positive control: his own').toContain(OF_BOB)
    const host = await onHost('sh', '-c', OF_ALL)
    for (const secret of [OF_THE_PIT, OF_BOB])
      expect(host.includes(secret), 'positive control: the operator').toBe(true)
    const seen = (await eve.sh(OF_ALL)).stdout
    expect(seen).toContain('LAZARUS_AGENT_ID=eve')
    for (const secret of [OF_THE_PIT, OF_BOB, stage.pit.token, 'SSH_AUTH_SOCK', 'DBUS_SESSION', 'XDG_RUNTIME_DIR'])
      expect(seen.includes(secret), secret).toBe(false)
  })

  it('puts no secret on a command line of the host', async () => {
    const running = bob.sh(
      'echo up >/artifacts/up; while ! [ -e /artifacts/go ]; do sleep 0.05; done',
      OF_AN_EXEC.replace('canary', 'argument'),
    )
    const secret = bob.run(['sh', '-c', 'echo up >/artifacts/up2; while ! [ -e /artifacts/go ]; do sleep 0.05; done'], {
      env: { OF_AN_EXEC },
      stdin: 'canary-of-stdin',
    })
    const control: ChildProcess = spawn('sleep', ['1000.4711'], { argv0: 'canary-control' })
    await until('both run', async () => (await bob.sh('ls /artifacts')).stdout.includes('up\nup2'))
    const lines = allPids()
      .map((pid) => readProc(pid, 'cmdline'))
      .join('\n')
    const environments = allPids()
      .map((pid) => readProc(pid, 'environ'))
      .join('\n')
    control.kill('SIGKILL')
    await bob.sh('touch /artifacts/go')
    await Promise.all([running, secret])
    expect(lines, 'positive control: command lines are seen').toContain('canary-control')
    expect(environments.includes(OF_AN_EXEC), 'positive control: it ran with it').toBe(true)
    for (const word of [OF_BOB, OF_AN_EXEC, 'canary-of-stdin', stage.pit.token, OF_THE_PIT])
      expect(lines.includes(word), word).toBe(false)
  })

  it('leaves no secret in logs, events and records', async () => {
    await bob.run(['cat'], { env: { OF_AN_EXEC }, stdin: 'canary-of-stdin' })
    const log = readFileSync(join(desk, 'log'), 'utf8')
    expect(log, 'positive control: requests are logged').toContain('/exec')
    const secrets = [stage.pit.token, bob.token, OF_THE_PIT, OF_BOB, OF_AN_EXEC, 'canary-of-stdin']
    expect(secrets.filter((secret) => log.includes(secret))).toEqual([])
    const events = JSON.stringify((await stage.pit.call('GET', `/v1/events?mission_id=${mission.id}`)).body)
    expect(events, 'positive control: names are told').toContain('"OF_BOB"')
    expect(secrets.filter((secret) => events.includes(secret))).toEqual([])
    const kept = secrets.map((secret) => stage.keptIn(secret))
    expect(kept).toEqual([['operator.token'], [], [], [expect.stringMatching(/^vault\//)], [], []])
  })

  it('is no socket of the host', async () => {
    const all = [...paths, abstract]
    expect((await onHost('perl', '-e', DIAL, ...all)).trim().split('\n'), 'positive control').toEqual(all)
    expect((await eve.perl(DIAL, ...all, '/run/lazarus/cell.sock')).stdout, 'its own works').toBe(
      '/run/lazarus/cell.sock\n',
    )
    const usual = [
      '/run/docker.sock',
      '/var/run/docker.sock',
      '/run/podman/podman.sock',
      '/run/dbus/system_bus_socket',
      '/run/systemd/private',
      '/tmp/.X11-unix/X0',
      '/run/user/1000/bus',
      `/run/user/${process.getuid!()}/bus`,
    ]
    expect((await eve.perl(DIAL, ...usual)).stdout).toBe('')
    expect(
      (
        await eve.sh(
          'tail -n +2 /proc/net/unix | grep -v "00000000 *[0-9]* *$" | grep -o "[@/].*" | grep -v cell.sock; find /run /tmp /dev -type s 2>/dev/null',
        )
      ).stdout,
    ).toBe('/run/lazarus/cell.sock\n')
  })

  it('with the network of the host reaches what listens there without a path, and still no path (positive control)', async () => {
    const open = await stage.mission(level, { policy: { network: 'host' } })
    const guest = await open.seat('guest')
    const reached = (await guest.perl(DIAL, ...paths, abstract)).stdout.trim().split('\n')
    expect(reached).toEqual([...paths.filter((path) => path.startsWith('127.')), abstract])
    await open.destroy()
  })

  it('is destroyed', async () => {
    expect(await mission.destroy()).toMatchObject({ status: 'destroyed' })
  })
})
