import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { output } from '../command.ts'
import type { Contender } from '../contest.ts'
import { saidTimes } from '../said.ts'
import type { Peers } from './peers.ts'

const WORD = 'kept-from-before'
const agentIn = (directory: string): string =>
  `[ -e ${directory}/word ] || echo ${WORD} >${directory}/word; cat ${directory}/word >>${directory}/said; exec sleep infinity`

/** One container that Podman starts again whenever its agent dies. */
export function podmanRestarts(peers: Peers, dir: string): Contender & AsyncDisposable {
  const place = join(dir, 'podman')
  let container: Promise<string> | null = null
  let lives = 1
  return {
    name: 'podman run --restart=always',
    sample: async () => {
      container ??= start(peers, place)
      await container
      await saidTimes(join(place, 'said'), WORD, lives)
      const pid = Number(await output('podman', ['inspect', '--format', '{{.State.Pid}}', await container]))
      lives += 1
      const again = saidTimes(join(place, 'said'), WORD, lives)
      const began = performance.now()
      process.kill(pid, 'SIGKILL')
      return (await again) - began
    },
    [Symbol.asyncDispose]: async () => {
      if (container) await output('podman', ['rm', '--force', '--time', '0', await container.catch(() => 'none')])
    },
  }
}

async function start({ image, label }: Peers, place: string): Promise<string> {
  await mkdir(place)
  const options = [
    '--detach',
    '--restart=always',
    '--network',
    'none',
    '--user',
    '0',
    '--label',
    label,
    '--volume',
    `${place}:/workspace`,
  ]
  return output('podman', ['run', ...options, '--entrypoint', '', image, 'sh', '-c', agentIn('/workspace')])
}

/** A supervisor that looks once a second. The agent is a bare process. */
export function poller(dir: string): Contender & AsyncDisposable {
  const place = join(dir, 'poller')
  let agent: ChildProcess | null = null
  let looking: NodeJS.Timeout | null = null
  let lives = 0
  const look = () => {
    if (agent !== null && agent.exitCode === null && agent.signalCode === null) return
    agent = spawn('sh', ['-c', agentIn(place)], { stdio: 'ignore' })
    lives += 1
  }
  return {
    name: 'poller, every second',
    sample: async () => {
      if (looking === null) await mkdir(place)
      looking ??= setInterval(look, 1000)
      await saidTimes(join(place, 'said'), WORD, Math.max(1, lives))
      await after(((lives * 0.618) % 1) * 1000) // Killed at moments spread over the second: a span, not a wait.
      const again = saidTimes(join(place, 'said'), WORD, lives + 1)
      const began = performance.now()
      agent!.kill('SIGKILL')
      return (await again) - began
    },
    [Symbol.asyncDispose]: async () => {
      if (looking) clearInterval(looking)
      agent?.kill('SIGKILL')
    },
  }
}
