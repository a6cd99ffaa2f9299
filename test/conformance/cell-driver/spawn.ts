import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { never, STAY, type Trial, until } from './trial.ts'

/** A shell on the way to the agent may add these; none of them comes from the host. */
const OF_THE_SHELL = /^(PWD|OLDPWD|SHLVL|_)=/
export const withoutShell = (env: string) =>
  env
    .split('\n')
    .filter((line) => line !== '' && !OF_THE_SHELL.test(line))
    .sort()
export const asLines = (env: Readonly<Record<string, string>>) =>
  Object.entries(env)
    .map(([k, v]) => `${k}=${v}`)
    .sort()

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )

export function describeSpawn(trial: Trial): void {
  describe('spawn', () => {
    it('starts the agent and writes its output to the log', async () => {
      const cell = await trial.spawn({ command: ['echo', 'hello from the cell'] })
      await trial.exitOf(cell.spec.name)
      expect(await cell.log()).toBe('hello from the cell\n')
    })

    it('without a command stays open for exec', async () => {
      const cell = await trial.spawn()
      expect(await cell.run(['true'])).toMatchObject({ exit_code: 0, signal: null })
      expect(trial.notices).toEqual([])
    })

    it('gives the agent its environment and nothing else', async () => {
      process.env.LAZARUS_TEST_LEAK = 'leaked'
      const environment = { PATH: '/usr/bin:/bin', HOME: '/home/agent', ODD: 'a b\'"$x\n\\ü', EMPTY: '' }
      const cell = await trial.spawn({ command: ['env', '-0'], environment })
      await trial.exitOf(cell.spec.name)
      const told = Buffer.from(await cell.log(), 'latin1')
        .toString()
        .replaceAll('\0', '\u0000')
      const lines = told.split('\0').filter((line) => line.trim() !== '' && !OF_THE_SHELL.test(line))
      expect(lines.sort()).toEqual(asLines(environment))
    })

    it('starts in the given directory', async () => {
      const cell = await trial.spawn({ command: ['pwd'], cwd: '/artifacts' })
      await trial.exitOf(cell.spec.name)
      expect(await cell.log()).toBe('/artifacts\n')
    })

    it('hands arguments on as they are', async () => {
      const args = ['a b', '', '$(id)', '-n', '"', "'", '*', ';true', '--']
      const cell = await trial.spawn({ command: ['printf', '[%s]\\n', ...args] })
      await trial.exitOf(cell.spec.name)
      expect(await cell.log()).toBe(args.map((arg) => `[${arg}]\n`).join(''))
    })

    it('finds the running sandbox of that name when it is repeated', async () => {
      const cell = await trial.spawn({ command: STAY })
      const again = await trial.driver.spawn(cell.spec, never)
      expect(again).toEqual({ handle: cell.handle, effective: cell.effective })
      expect(await trial.driver.list()).toEqual([cell.handle])
    })

    it('measures also an agent that ends at once', async () => {
      const cell = await trial.spawn({ command: ['true'] })
      expect(cell.effective.network).toBe('none')
      expect((await trial.exitOf(cell.spec.name)).exit).toMatchObject({ cause: 'exit', code: 0, signal: null })
    })

    it.runIf(trial.can.processes)(
      'tells 127 for a command that does not exist and 126 for one that is no program',
      async () => {
        const missing = await trial.spawn({ command: ['no-such-command'] })
        expect((await trial.exitOf(missing.spec.name)).exit).toMatchObject({ cause: 'exit', code: 127 })
        const noProgram = await trial.spawn({ command: ['/mission/brief.md'] })
        expect((await trial.exitOf(noProgram.spec.name)).exit).toMatchObject({ cause: 'exit', code: 126 })
      },
    )

    it('refuses a bind source that does not exist, and creates it not', async () => {
      const source = join((await trial.spec()).run_dir, 'no-such-directory')
      const spec = await trial.spec({ extra_mounts: [{ kind: 'bind', target: '/extra', source, read_only: true }] })
      await expect(trial.driver.spawn(spec, never)).rejects.toThrow(source)
      expect(await exists(source)).toBe(false)
      expect(await trial.driver.list()).toEqual([])
    })

    it('refuses the network mode allowlist until it exists', async () => {
      const spec = await trial.spec({ policy: { network: 'allowlist' } })
      await expect(trial.driver.spawn(spec, never)).rejects.toMatchObject({ code: 'isolation_unavailable' })
    })

    it('ends with its abort signal and leaves nothing', async () => {
      await expect(trial.driver.spawn(await trial.spec(), AbortSignal.abort())).rejects.toThrow()
      for (const delay of [1, 10, 40]) {
        const spec = await trial.spec({ command: STAY })
        const sandbox = await trial.driver.spawn(spec, AbortSignal.timeout(delay)).catch(() => null)
        if (sandbox) trial.seat(spec, sandbox)
        else expect(await trial.driver.list()).toEqual([])
        if (sandbox) await trial.driver.destroy(sandbox.handle)
      }
    })

    it('starts several seats at once, each on its own', async () => {
      const cells = await Promise.all([1, 2, 3, 4].map((n) => trial.spawn({ command: ['echo', `seat ${n}`] })))
      await until('four ends', () => trial.notices.length === 4)
      expect(await Promise.all(cells.map((cell) => cell.log()))).toEqual([1, 2, 3, 4].map((n) => `seat ${n}\n`))
    })
  })
}
