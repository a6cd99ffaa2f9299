import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { processFact } from '../../src/linux/process.ts'
import { OwnPodman } from '../support/own-podman.ts'
import { ROOT } from './run.ts'

/** One of the functions of bin/setup, by itself. */
function part(podman: OwnPodman, call: string, ...args: string[]): string {
  const parts = ['common.sh', 'host-parts.sh', 'checkout-parts.sh'].map((name) => `. "$0/bin/lib/${name}"`)
  const script = [...parts, `${call} "$@"`].join('\n')
  const options = { env: podman.environment, encoding: 'utf8', stdio: 'pipe' } as const
  return execFileSync('bash', ['-c', script, ROOT, ...args], options)
}

/** A root file system that can sleep, without an image. */
function layRoot(root: string): string {
  const libraries = execFileSync('ldd', ['/bin/sleep'], { encoding: 'utf8' }).match(/\/\S+/g) ?? []
  for (const path of ['/bin/sleep', ...libraries]) {
    mkdirSync(join(root, dirname(path)), { recursive: true })
    copyFileSync(path, join(root, path))
  }
  return root
}

function kill(pid: number): void {
  process.kill(pid, 'SIGKILL')
  while (![undefined, 'Z'].includes(processFact(pid)?.state)) {} // it is gone when the kernel is done with it
}

test('Podman refuses after a power cut; setup says so and puts its books right', () => {
  using podman = new OwnPodman()
  const root = layRoot(join(podman.directory, 'root'))
  podman.run('run', '--detach', '--name', 'cut', '--network', 'none', '--rootfs', root, 'sleep', 'infinity')
  expect(part(podman, 'podman_missing'), 'positive control').toBe('')

  const [pid, monitor] = podman.run('inspect', '--format', '{{.State.Pid}} {{.State.ConmonPid}}', 'cut').split(' ')
  for (const victim of [Number(monitor), Number(pid), podman.pauseProcess]) kill(victim)
  expect(() => podman.run('ps')).toThrow('podman system migrate')

  const missing = part(podman, 'podman_missing')
  expect(missing).toMatch(/^Podman does not start: .*podman system migrate/)
  part(podman, 'podman_do', missing)
  expect(part(podman, 'podman_missing')).toBe('')
  expect(podman.run('ps', '--all', '--format', '{{.Names}}')).toBe('cut')
})

test('what no migration mends is told and not tried', () => {
  using podman = new OwnPodman()
  expect(() => part(podman, 'podman_do', 'Podman does not start: no such file')).toThrow('no such file')
})
