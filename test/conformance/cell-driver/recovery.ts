import { describe, expect, it } from 'vitest'
import { STAY, type Trial, until } from './trial.ts'

/** The pit dies and comes back: a new driver over the same root judges what the old one left. */
export function describeRecovery(trial: Trial): void {
  describe('list and adopt after a restart', () => {
    it('lists and adopts what lives, goes on with exec, and tells its death', async () => {
      const cell = await trial.spawn({ command: STAY })
      await trial.restart()
      expect(await trial.driver.list()).toEqual([cell.handle])
      expect(await trial.driver.adopt(cell.handle)).toEqual({ state: 'running', handle: cell.handle })
      expect(await cell.run(['true'])).toMatchObject({ exit_code: 0 })
      await trial.driver.signal(cell.handle, 'SIGKILL')
      expect((await trial.exitOf(cell.spec.name)).exit).toMatchObject({ cause: 'signal', signal: 'SIGKILL' })
      expect(trial.notices).toHaveLength(1)
    })

    it('finds what died meanwhile, with its exit code', async () => {
      const cell = await trial.spawn({ command: ['false'] })
      await trial.exitOf(cell.spec.name)
      await trial.restart()
      expect((await trial.driver.list()).map((handle) => handle.mission_id)).toEqual([cell.handle.mission_id])
      expect(await trial.driver.adopt(cell.handle)).toMatchObject({ state: 'exited', exit: { cause: 'exit', code: 1 } })
    })

    it('finds what was killed while no pit looked', async () => {
      const cell = await trial.spawn({ command: STAY })
      await trial.restart()
      await trial.driver.signal(cell.handle, 'SIGKILL')
      const judged = await until('its end is recorded', async () => {
        const found = await trial.driver.adopt(cell.handle)
        return found.state === 'exited' && found
      })
      expect(judged.exit).toMatchObject({ cause: 'signal', signal: 'SIGKILL' })
    })

    it('calls gone what left no trace', async () => {
      const cell = await trial.spawn({ command: STAY })
      await trial.driver.destroy(cell.handle)
      await trial.restart()
      expect(await trial.driver.adopt(cell.handle)).toEqual({ state: 'gone' })
      expect(await trial.driver.list()).toEqual([])
    })

    it('does not take another process for the agent because it has the same pid', async () => {
      const cell = await trial.spawn({ command: ['true'] })
      await trial.exitOf(cell.spec.name)
      await trial.restart()
      const reused = { ...cell.handle, pid: process.pid, agent_pid: process.pid }
      expect((await trial.driver.adopt(reused)).state).not.toBe('running')
      await trial.driver.signal(reused, 'SIGKILL')
      await trial.driver.destroy(reused)
    })

    it('finds by spawn what runs since before the restart', async () => {
      const cell = await trial.spawn({ command: STAY })
      await trial.restart()
      const again = await trial.driver.spawn(cell.spec, new AbortController().signal)
      expect(again.handle).toEqual(cell.handle)
      await trial.driver.signal(cell.handle, 'SIGTERM')
      expect((await trial.exitOf(cell.spec.name)).exit).toMatchObject({ cause: 'signal', signal: 'SIGTERM' })
    })
  })
}
