import { describe, expect, it } from 'vitest'
import { never, STAY, type Trial } from './trial.ts'

/** Every step is failed once on purpose, then the verb is repeated on purpose, and nothing may remain. */
export function describeFaults(trial: Trial): void {
  describe('a step that fails', () => {
    it.each(trial.can.steps.spawn)('in spawn (%s) leaves nothing, and the repeated spawn works', async (step) => {
      const spec = await trial.spec({ command: STAY })
      trial.harness.failAt(step)
      await expect(trial.driver.spawn(spec, never)).rejects.toMatchObject({ name: 'LazarusError' })
      trial.harness.failAt(null)
      expect(await trial.driver.list()).toEqual([])
      expect(await trial.harness.leftovers()).toEqual([])
      expect(trial.notices, 'a failed spawn is no death').toEqual([])
      const cell = trial.seat(spec, await trial.driver.spawn(spec, never))
      expect(await cell.run(['true'])).toMatchObject({ exit_code: 0 })
    })

    it.each(trial.can.steps.exec)('in exec (%s) harms neither the agent nor the next exec', async (step) => {
      const cell = await trial.spawn({ command: STAY })
      trial.harness.failAt(step)
      await expect(cell.run(['true'])).rejects.toMatchObject({ name: 'LazarusError' })
      trial.harness.failAt(null)
      expect(await cell.run(['true'])).toMatchObject({ exit_code: 0 })
      expect(trial.notices).toEqual([])
    })

    it.each(trial.can.steps.destroy)('in destroy (%s) is finished by the repeated destroy', async (step) => {
      const cell = await trial.spawn({ command: STAY })
      trial.harness.failAt(step)
      await expect(trial.driver.destroy(cell.handle)).rejects.toMatchObject({ name: 'LazarusError' })
      trial.harness.failAt(null)
      await trial.driver.destroy(cell.handle)
      expect(await trial.driver.list()).toEqual([])
      expect(await trial.harness.leftovers()).toEqual([])
    })
  })
}
