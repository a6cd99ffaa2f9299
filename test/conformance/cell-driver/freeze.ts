import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { STAY, type Trial, until } from './trial.ts'

/** -1 while there is none. */
const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => -1,
  )

export function describeFreeze(trial: Trial): void {
  describe.runIf(trial.can.freeze && trial.can.processes)('freeze', () => {
    it('freezes every process of the sandbox and thaws them', async () => {
      const count = 'while :; do echo x; sleep 0.01; done >> /artifacts/ticks'
      const cell = await trial.spawn({ command: ['/bin/sh', '-c', `setsid sh -c '${count}' & ${count}`] })
      const ticks = () => sizeOf(join(cell.spec.run_dir, '..', 'artifacts', 'ticks'))
      await until('it ticks', async () => (await ticks()) > 4)
      await trial.driver.signal(cell.handle, 'freeze')
      await trial.driver.signal(cell.handle, 'freeze')
      const frozen = await ticks()
      for (let look = 0; look < 20; look += 1) {
        await new Promise((go) => setTimeout(go, 5))
        expect(await ticks()).toBe(frozen)
      }
      await trial.driver.signal(cell.handle, 'thaw')
      await until('it ticks again', async () => (await ticks()) > frozen)
    })

    it('keeps what forks as fast as it can from one more step, and loses no exec over it', async () => {
      const fork = 'while :; do (echo x >> /artifacts/forks); done'
      const cell = await trial.spawn({ command: ['/bin/sh', '-c', `${fork} & ${fork}`] })
      const size = () => sizeOf(join(cell.spec.run_dir, '..', 'artifacts', 'forks'))
      const exec = cell.sh('while [ ! -e /artifacts/go ]; do sleep 0.01; done; echo went on')
      await until('it forks', async () => (await size()) > 10)
      for (let round = 0; round < 10; round += 1) {
        await trial.driver.signal(cell.handle, 'freeze')
        const frozen = await size()
        await new Promise((go) => setTimeout(go, 10))
        expect(await size()).toBe(frozen)
        await trial.driver.signal(cell.handle, 'thaw')
        await until('it forks again', async () => (await size()) > frozen)
      }
      await cell.run(['touch', '/artifacts/go'])
      expect(await exec).toMatchObject({ exit_code: 0, stdout: 'went on\n' })
    })

    it('lets an exec that comes meanwhile wait for the thaw', async () => {
      const cell = await trial.spawn({ command: STAY })
      await trial.driver.signal(cell.handle, 'freeze')
      let ended = false
      const exec = cell.sh('touch /artifacts/ran; echo ran').finally(() => {
        ended = true
      })
      const aborted = new AbortController()
      const given = cell.run(['true'], {}, aborted.signal)
      await new Promise((go) => setTimeout(go, 100))
      expect([ended, await sizeOf(join(cell.spec.run_dir, '..', 'artifacts', 'ran'))]).toEqual([false, -1])
      aborted.abort()
      expect(await given).toMatchObject({ exit_code: 137 })
      await trial.driver.signal(cell.handle, 'thaw')
      expect(await exec).toMatchObject({ exit_code: 0, stdout: 'ran\n' })
    })

    it('thaws what the pit before it froze, as often as it is asked', async () => {
      const cell = await trial.spawn({
        command: ['/bin/sh', '-c', 'while :; do echo x >> /artifacts/ticks; sleep 0.01; done'],
      })
      const size = () => sizeOf(join(cell.spec.run_dir, '..', 'artifacts', 'ticks'))
      await until('it ticks', async () => (await size()) > 4)
      await trial.driver.signal(cell.handle, 'freeze')
      await trial.restart()
      expect(await trial.driver.adopt(cell.handle)).toMatchObject({ state: 'running' })
      const frozen = await size()
      for (const _ of [1, 2, 3]) await trial.driver.signal(cell.handle, 'thaw')
      await until('it ticks again', async () => (await size()) > frozen)
      expect(await cell.run(['true'])).toMatchObject({ exit_code: 0 })
    })

    it('destroys what is frozen', async () => {
      const cell = await trial.spawn({ command: STAY })
      await trial.driver.signal(cell.handle, 'freeze')
      await trial.driver.destroy(cell.handle)
      expect(trial.notices).toEqual([])
    })
  })
}
