import { describe, expect, it } from 'vitest'
import { PACE } from '../../support/pace.ts'
import { STAY, type Trial, until } from './trial.ts'

export function describeExits(trial: Trial): void {
  describe('exits', () => {
    it('tells the exit code of the agent, once', async () => {
      const cell = await trial.spawn({ command: ['false'] })
      const notice = await trial.exitOf(cell.spec.name)
      expect(notice.name).toEqual(cell.spec.name)
      expect(notice.exit).toMatchObject({ cause: 'exit', code: 1, signal: null })
      expect(Date.parse(notice.exit.noticed_at)).toBeGreaterThanOrEqual(Date.parse(notice.exit.died_at))
      await cell.run(['true']).catch(() => null)
      await trial.driver.adopt(cell.handle)
      expect(trial.notices).toHaveLength(1)
    })

    it('tells the signal that ended the agent', async () => {
      for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
        const cell = await trial.spawn({ command: STAY })
        await trial.driver.signal(cell.handle, signal)
        expect((await trial.exitOf(cell.spec.name)).exit).toMatchObject({ cause: 'signal', signal })
      }
    })

    it('tells the end of a sandbox without a command too', async () => {
      const cell = await trial.spawn()
      await trial.driver.signal(cell.handle, 'SIGKILL')
      expect((await trial.exitOf(cell.spec.name)).exit).toMatchObject({ cause: 'signal', signal: 'SIGKILL' })
    })

    it('finds it fine to signal what is gone already', async () => {
      const cell = await trial.spawn({ command: ['true'] })
      await trial.exitOf(cell.spec.name)
      await trial.driver.signal(cell.handle, 'SIGTERM')
    })

    it('no longer tells a listener that was disposed of', async () => {
      const told: unknown[] = []
      trial.driver.exits((notice) => told.push(notice))[Symbol.dispose]()
      await trial.exitOf((await trial.spawn({ command: ['true'] })).spec.name)
      expect(told).toEqual([])
    })

    it.runIf(trial.can.processes)('tells a death within milliseconds', async () => {
      const took: number[] = []
      for (let round = 0; round < 3; round += 1) {
        const cell = await trial.spawn({ command: STAY })
        const { promise, resolve } = Promise.withResolvers<number>()
        using _ = trial.driver.exits(() => resolve(performance.now()))
        const killed = performance.now()
        process.kill(cell.handle.agent_pid!, 'SIGKILL')
        took.push((await promise) - killed)
      }
      expect(Math.min(...took)).toBeLessThan(100 * PACE)
    })

    it.runIf(trial.can.processes)('hands signals to the agent, which may handle them', async () => {
      const script = 'trap "echo got USR1" USR1; echo ready; while :; do sleep 0.02; done'
      const cell = await trial.spawn({ command: ['/bin/sh', '-c', script] })
      await until('the agent is ready', async () => (await cell.log()) === 'ready\n')
      await trial.driver.signal(cell.handle, 'SIGUSR1')
      await until('the agent got it', async () => (await cell.log()) === 'ready\ngot USR1\n')
      expect(trial.notices).toEqual([])
    })
  })
}
