import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { processFact } from '../../src/linux/process.ts'
import { ROOT } from './run.ts'

let dir: string
let environment: Record<string, string>
beforeEach(() => {
  dir = mkdtempSync('/var/tmp/lazarus-setup-')
  environment = { PATH: process.env.PATH!, HOME: join(dir, 'home'), XDG_RUNTIME_DIR: join(dir, 'run') }
  mkdirSync(join(dir, 'home/.config/containers'), { recursive: true })
  mkdirSync(join(dir, 'run'), { mode: 0o700 })
  writeFileSync(join(dir, 'home/.config/containers/storage.conf'), '[storage]\ndriver = "overlay"\n')
})
afterEach(() => {
  podman('rm', '--force', '--time', '0', '--all')
  process.kill(pauseProcess(), 'SIGKILL') // with it go the mounts below its storage
  rmSync(dir, { recursive: true })
})

const podman = (...args: string[]): string =>
  execFileSync('podman', args, { env: environment, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const pauseProcess = () => Number(readFileSync(join(dir, 'run/libpod/tmp/pause.pid'), 'utf8'))

/** One of the functions of bin/setup, by itself. */
const part = (call: string, ...args: string[]): string => {
  const parts = ['common.sh', 'host-parts.sh', 'checkout-parts.sh'].map((name) => `. "$0/bin/lib/${name}"`)
  const script = [...parts, `${call} "$@"`].join('\n')
  return execFileSync('bash', ['-c', script, ROOT, ...args], { env: environment, encoding: 'utf8', stdio: 'pipe' })
}

/** A root file system that can sleep, without an image. */
function layRoot(): string {
  const root = join(dir, 'root')
  const libraries = execFileSync('ldd', ['/bin/sleep'], { encoding: 'utf8' }).match(/\/\S+/g) ?? []
  for (const path of ['/bin/sleep', ...libraries]) {
    mkdirSync(join(root, dirname(path)), { recursive: true })
    copyFileSync(path, join(root, path))
  }
  return root
}

test('Podman refuses after a power cut; setup says so and puts its books right', () => {
  podman('run', '--detach', '--name', 'cut', '--network', 'none', '--rootfs', layRoot(), 'sleep', 'infinity')
  expect(part('podman_missing'), 'positive control').toBe('')

  const [pid, monitor] = podman('inspect', '--format', '{{.State.Pid}} {{.State.ConmonPid}}', 'cut').split(' ')
  for (const victim of [Number(monitor), Number(pid), pauseProcess()]) {
    process.kill(victim, 'SIGKILL')
    while (![undefined, 'Z'].includes(processFact(victim)?.state)) {} // it is gone when the kernel is done with it
  }
  expect(() => podman('ps')).toThrow('podman system migrate')

  const missing = part('podman_missing')
  expect(missing).toMatch(/^Podman does not start: .*podman system migrate/)
  part('podman_do', missing)
  expect(part('podman_missing')).toBe('')
  expect(podman('ps', '--all', '--format', '{{.Names}}')).toBe('cut\n')
})

test('what no migration mends is told and not tried', () => {
  podman('unshare', 'true')
  expect(() => part('podman_do', 'Podman does not start: no such file')).toThrow('no such file')
})
