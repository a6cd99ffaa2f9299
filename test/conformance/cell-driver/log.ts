import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { PACE } from '../../support/pace.ts'
import type { Trial } from './trial.ts'

const MAX = 64 * 1024

async function bytesOf(path: string): Promise<number> {
  const names = (await readdir(dirname(path))).filter((name) => name.startsWith(basename(path)))
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(dirname(path), name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

export function describeLog(trial: Trial): void {
  describe.runIf(trial.can.processes)('log', () => {
    it('keeps stdout and stderr of the agent in order', async () => {
      const cell = await trial.spawn({ command: ['/bin/sh', '-c', 'echo one; echo two; printf three'] })
      await trial.exitOf(cell.spec.name)
      expect(await cell.log()).toMatch(/^one\ntwo\nthree\n?$/)
      const failing = await trial.spawn({ command: ['/bin/sh', '-c', 'echo to stderr >&2'] })
      await trial.exitOf(failing.spec.name)
      expect(await failing.log()).toBe('to stderr\n')
    })

    it('is bounded and rotated, and keeps the newest', async () => {
      const log = { max_bytes: MAX, files: 3 }
      const command = ['/bin/sh', '-c', 'seq 1 100000; echo the end']
      const cell = await trial.spawn({ command, policy: { log } })
      await trial.exitOf(cell.spec.name)
      expect(await bytesOf(cell.spec.log_path)).toBeLessThanOrEqual(MAX * log.files + 8192)
      const text = await cell.log()
      expect(text.endsWith('100000\nthe end\n')).toBe(true)
      expect(text.startsWith('1\n2\n'), 'the oldest is gone').toBe(false)
    })

    it('goes on while no pit runs', async () => {
      const command = [
        '/bin/sh',
        '-c',
        'while [ ! -e /artifacts/go ]; do sleep 0.01; done; echo after; exec sleep infinity',
      ]
      const cell = await trial.spawn({ command })
      await trial.restart()
      await cell.sh('touch /artifacts/go')
      await expect.poll(() => cell.log(), { timeout: 10_000 * PACE }).toBe('after\n')
    })
  })
}
