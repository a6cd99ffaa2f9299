import { describe, expect, it } from 'vitest'
import type { SandboxSpec } from '../../../src/ports/cell-driver.ts'
import { never, readLog, type Trial, until } from './trial.ts'

const GREET = ['echo', 'let go']

export function describeHold(trial: Trial): void {
  /** Real drivers show the sandbox while it is held; the pretended one has nothing to show before. */
  const isUp = async () =>
    !trial.can.processes || (await trial.driver.list()).some((handle) => handle.agent_pid !== null)
  const logOf = (spec: SandboxSpec) => readLog(spec.log_path, trial.driver.capabilities.log_format)

  describe('a hold', () => {
    it.each(['settles well', 'fails'])('keeps the agent from its first step until it %s', async (how) => {
      const { promise: hold, resolve, reject } = Promise.withResolvers<void>()
      const spec = { ...(await trial.spec({ command: GREET })), hold }
      let spawned = false
      const spawning = trial.driver.spawn(spec, never).finally(() => {
        spawned = true
      })
      await until('the sandbox stands', isUp)
      for (let look = 0; look < 20; look += 1) {
        await new Promise((go) => setTimeout(go, 5))
        expect([spawned, await logOf(spec)]).toEqual([false, ''])
      }
      if (how === 'fails') reject(new Error('the checkpoint failed'))
      else resolve()
      const cell = trial.seat(spec, await spawning)
      await trial.exitOf(spec.name)
      expect(await cell.log()).toBe('let go\n')
    })

    it('ends with the abort signal, and nothing of the sandbox is left', async () => {
      const abort = new AbortController()
      const spec = { ...(await trial.spec({ command: GREET })), hold: new Promise(() => {}) }
      const spawning = trial.driver.spawn(spec, abort.signal)
      const refused = expect(spawning).rejects.toThrow('enough')
      await until('the sandbox stands', isUp)
      abort.abort(new Error('enough'))
      await refused
      expect(await trial.driver.list()).toEqual([])
      expect(await trial.harness.leftovers()).toEqual([])
      expect(await logOf(spec)).toBe('')
    })

    it('that failed before a start that fails harms nobody', async () => {
      const spec = {
        ...(await trial.spec({ policy: { network: 'allowlist' } })),
        hold: Promise.reject(new Error('no')),
      }
      await expect(trial.driver.spawn(spec, never)).rejects.toMatchObject({ code: 'isolation_unavailable' })
    })
  })
}
