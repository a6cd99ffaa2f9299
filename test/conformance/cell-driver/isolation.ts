import { once } from 'node:events'
import { readlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { PACE } from '../../support/pace.ts'
import { type Cell, never, STAY, type Trial } from './trial.ts'

const DIAL =
  'use IO::Socket::INET; my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]", Timeout => 2) or die "refused: $!"; print <$s>'
const LOOPBACK = `use IO::Socket::INET; my $l = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die "$!";
my $c = IO::Socket::INET->new(PeerAddr => "127.0.0.1:" . $l->sockport) or die "$!"; print "lo works\\n"`
/** An exec shares these two with the agent or has its own of the same kind; never the host's. */
const OWN_OR_HOST = ['user', 'mnt']
  .map(
    (n) => `[ "$(readlink /proc/self/ns/${n})" = "${readlinkSync(`/proc/self/ns/${n}`)}" ] && echo ${n} of the host;`,
  )
  .join(' ')
/** Everything in /proc/self that confines a process. */
const CONFINEMENT = `grep -E "^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp):" /proc/self/status; for n in pid ipc uts net cgroup; do readlink /proc/self/ns/$n; done; ${OWN_OR_HOST} cut -d" " -f5,6 /proc/self/mountinfo; grep -E "Max (processes|open files|file size|core)" /proc/self/limits`

async function hostPort(greeting: string) {
  const server = createServer((socket) => socket.end(greeting)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address() as { port: number }
  return {
    port: String(address.port),
    [Symbol.asyncDispose]: () => new Promise<void>((done) => server.close(() => done())),
  }
}

export function describeIsolation(trial: Trial): void {
  describe.runIf(trial.can.isolation)('isolation', () => {
    it('measures what the kernel says of the sandbox', async () => {
      const { effective, spec } = await trial.spawn()
      expect(effective).toMatchObject({
        no_new_privs: spec.policy.no_new_privs,
        capabilities: [],
        seccomp: spec.policy.seccomp !== null,
        network: 'none',
        workspace: 'overlay',
      })
      expect(new Set(effective.namespaces)).toEqual(new Set([...effective.namespaces, ...spec.policy.namespaces]))
      expect(effective.limits.nofile).toMatchObject({ value: spec.policy.limits.nofile, enforced_by: 'rlimit' })
      expect(spec.policy.degradable).toEqual(expect.arrayContaining([...effective.degraded]))
    })

    it('confines an exec exactly like the agent', async () => {
      const command = ['/bin/sh', '-c', CONFINEMENT]
      const agent = await trial.spawn({ command: ['/bin/sh', '-c', `${CONFINEMENT}; exec sleep infinity`] })
      const exec = await agent.run(command)
      expect(exec.stdout.split('\n').length).toBeGreaterThan(16)
      expect(exec.stdout).not.toContain('of the host')
      await expect.poll(() => agent.log(), { timeout: 5_000 * PACE }).toBe(exec.stdout)
    })

    it('sees no process of the host nor of another cell', async () => {
      const other = await trial.spawn({ command: ['sleep', '4711'] })
      const cell = await trial.spawn({ command: ['sleep', '4712'] })
      const seen = await cell.sh('cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" " "')
      expect(seen.stdout, 'positive control: its own').toContain('sleep 4712')
      expect(seen.stdout).not.toContain('sleep 4711')
      expect((await cell.sh('kill -KILL "$1"', String(other.handle.agent_pid))).exit_code).not.toBe(0)
      expect((await cell.sh('kill -KILL "$1"', String(process.pid))).exit_code).not.toBe(0)
      expect(trial.notices).toEqual([])
    })

    it('bounds the processes of a seat, its execs included', async () => {
      const fork = 'i=0; while [ $i -lt 60 ]; do sleep 4715 & i=$((i + 1)); done; echo all'
      const limited = async (pids: number) => {
        const { limits } = (await trial.spec()).policy
        const cell = await trial.spawn({ policy: { limits: { ...limits, pids } } })
        const run = await cell.sh(fork)
        const count = await cell.sh('grep -l "^sleep" /proc/[0-9]*/comm | wc -l')
        return { run, running: count.exit_code === 0 ? Number(count.stdout) : null }
      }
      expect((await limited(200)).run.stdout, 'positive control').toBe('all\n')
      const { run, running } = await limited(30)
      expect(run.stdout).not.toContain('all')
      expect(running ?? 0).toBeLessThanOrEqual(30)
    })

    it('bounds the size of a file', async () => {
      const { limits } = (await trial.spec()).policy
      const cell = await trial.spawn({ policy: { limits: { ...limits, disk: 1024 ** 2 } } })
      const write = 'head -c "$1" /dev/zero > /workspace/big; stat -c %s /workspace/big'
      expect((await cell.sh(write, String(2 * 1024 ** 2))).stdout).toBe(`${1024 ** 2}\n`)
      expect((await cell.sh(write, '4096')).stdout, 'positive control').toBe('4096\n')
    })

    it('without network has a loopback and no way out', async () => {
      await using host = await hostPort('host\n')
      const cell = await trial.spawn()
      expect(await cell.run(['perl', '-e', LOOPBACK])).toMatchObject({ stdout: 'lo works\n' })
      expect((await cell.run(['perl', '-e', DIAL, host.port])).exit_code).not.toBe(0)
      const interfaces = await cell.sh('tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " "; tail -n +2 /proc/net/route')
      expect(interfaces.stdout).toBe('lo\n')
    })

    it('with the network of the host reaches what listens there: positive control', async () => {
      await using host = await hostPort('host\n')
      const cell = await trial.spawn({ policy: withNetwork(await trial.spec()) })
      expect(await cell.run(['perl', '-e', DIAL, host.port])).toMatchObject({ stdout: 'host\n' })
      expect(cell.effective.network).toBe('host')
    })

    it.runIf(trial.can.unkept !== null)('refuses a promise that it cannot keep, and leaves nothing', async () => {
      const spec = await trial.spec()
      const promise = trial.can.unkept!
      const strict = {
        ...spec,
        policy: { ...promising(spec, promise), degradable: spec.policy.degradable.filter((p) => p !== promise) },
      }
      await expect(trial.driver.spawn(strict, never)).rejects.toMatchObject({ code: 'isolation_degraded' })
      expect(await trial.driver.list()).toEqual([])
      expect(await trial.harness.leftovers()).toEqual([])
    })

    it.runIf(trial.can.unkept !== null)('names the promise that the policy gave up', async () => {
      const spec = await trial.spec()
      const promise = trial.can.unkept!
      const lenient = {
        ...spec,
        command: STAY,
        policy: { ...promising(spec, promise), degradable: [...spec.policy.degradable, promise] },
      }
      const cell: Cell = trial.seat(lenient, await trial.driver.spawn(lenient, never))
      expect(cell.effective.degraded).toContain(promise)
    })
  })
}

type Spec = Awaited<ReturnType<Trial['spec']>>

const withNetwork = (spec: Spec) => ({
  network: 'host' as const,
  namespaces: spec.policy.namespaces.filter((kind) => kind !== 'network'),
})

/** A policy that makes the promise, in case the one of the level does not. */
function promising(spec: Spec, promise: string): Spec['policy'] {
  const MANY = { cpu: 1, memory: 256 * 1024 ** 2, pids: 200 } as Record<string, number>
  const limit = promise.startsWith('limits.') ? promise.slice('limits.'.length) : null
  return limit
    ? { ...spec.policy, limits: { ...spec.policy.limits, [limit]: MANY[limit] ?? 1024 ** 2 } }
    : { ...spec.policy, [promise]: true }
}
