import { describe, expect, it } from 'vitest'
import { never, STAY, type Trial, until } from './trial.ts'

const STUBBORN =
  'trap "" TERM INT HUP QUIT; (setsid sh -c "trap \'\' TERM HUP; sleep 4711 & sleep 4711" &); sleep 4711 & kill -STOP $!; echo up; while :; do sleep 4711; done'

export function describeDestroy(trial: Trial): void {
  describe('destroy', () => {
    it('ends the sandbox, is not told as a death, and may be repeated', async () => {
      const cell = await trial.spawn({ command: STAY })
      const first = await trial.driver.destroy(cell.handle)
      if (trial.can.processes) expect(first.processes).toBeGreaterThanOrEqual(1)
      expect(await trial.driver.destroy(cell.handle)).toEqual({ processes: 0, containers: 0, mounts: 0 })
      expect(await trial.driver.list()).toEqual([])
      expect(await trial.harness.leftovers()).toEqual([])
      expect(trial.notices).toEqual([])
    })

    it('removes one that died before', async () => {
      const cell = await trial.spawn({ command: ['true'] })
      await trial.exitOf(cell.spec.name)
      await trial.driver.destroy(cell.handle)
      expect(await trial.driver.list()).toEqual([])
    })

    it('is safe to call twice at once, and during a spawn of the next generation', async () => {
      const cell = await trial.spawn({ command: STAY })
      const next = { ...cell.spec, name: { ...cell.spec.name, generation: 2 } }
      const [sandbox] = await Promise.all([
        trial.driver.spawn(next, never),
        trial.driver.destroy(cell.handle),
        trial.driver.destroy(cell.handle),
      ])
      const successor = trial.seat(next, sandbox)
      expect(await trial.driver.list()).toEqual([successor.handle])
      if (trial.can.processes) expect(await successor.sh('echo more >> README')).toMatchObject({ exit_code: 0 })
    })

    it.runIf(trial.can.processes)(
      'ends processes that left by setsid, forked twice, ignore TERM, or are stopped',
      async () => {
        const cell = await trial.spawn({ command: ['/bin/sh', '-c', STUBBORN] })
        await until('all are up', async () => (await cell.log()) === 'up\n')
        const released = await trial.driver.destroy(cell.handle)
        expect(released.processes).toBeGreaterThanOrEqual(4)
        expect(await trial.harness.leftovers()).toEqual([])
      },
    )

    it.runIf(trial.can.processes)('takes everything along when the agent dies by itself', async () => {
      const cell = await trial.spawn({
        command: ['/bin/sh', '-c', '(setsid sleep 4711 &); sleep 4711 & echo up; exit 0'],
      })
      await trial.exitOf(cell.spec.name)
      await trial.driver.destroy(cell.handle)
      expect(await trial.harness.leftovers()).toEqual([])
    })
  })
}
