import { describe, expect, it } from 'vitest'
import { PACE } from '../../support/pace.ts'
import { asLines, withoutShell } from './spawn.ts'
import { never, STAY, type Trial, until } from './trial.ts'

const MEGABYTE = 1024 ** 2
const bytes = (text: string) => new TextEncoder().encode(text)

export function describeExec(trial: Trial): void {
  describe('exec', () => {
    it('gives the exit code of the command', async () => {
      const cell = await trial.spawn()
      expect(await cell.run(['true'])).toMatchObject({ exit_code: 0, signal: null })
      expect(await cell.run(['false'])).toMatchObject({ exit_code: 1, signal: null })
    })

    it('gives 127 for a command that does not exist', async () => {
      const cell = await trial.spawn()
      expect(await cell.run(['no-such-command'])).toMatchObject({ exit_code: 127, signal: null })
    })

    it('gives the environment of the call and nothing else', async () => {
      const cell = await trial.spawn({ environment: { PATH: '/usr/bin:/bin', OF_THE_AGENT: 'yes' } })
      const environment = { PATH: '/usr/bin:/bin', ONLY_HERE: 'a b"$\'' }
      const run = await cell.run(['env'], { environment })
      expect(withoutShell(run.stdout)).toEqual(asLines(environment))
    })

    it('feeds stdin from bytes and from a stream, then end of file', async () => {
      const cell = await trial.spawn()
      expect(await cell.run(['cat'], { stdin: bytes('from bytes') })).toMatchObject({
        exit_code: 0,
        stdout: 'from bytes',
      })
      async function* stream() {
        yield bytes('one ')
        yield bytes('two')
      }
      expect(await cell.run(['cat'], { stdin: stream() })).toMatchObject({ exit_code: 0, stdout: 'one two' })
      expect(await cell.run(['cat'])).toMatchObject({ exit_code: 0, stdout: '' })
    })

    it('ends with its abort signal', async () => {
      const cell = await trial.spawn()
      const abort = new AbortController()
      const running = cell.run(STAY, {}, abort.signal)
      abort.abort()
      expect(await running).toMatchObject({ exit_code: 137, signal: 'SIGKILL' })
    })

    it('answers null when the sandbox goes away under it', async () => {
      const cell = await trial.spawn({ command: STAY })
      const running = cell.run(
        trial.can.processes ? ['/bin/sh', '-c', 'echo up > /artifacts/up; exec sleep infinity'] : STAY,
      )
      if (trial.can.processes)
        await until('exec runs', async () => (await cell.sh('cat /artifacts/up')).stdout === 'up\n')
      await trial.driver.destroy(cell.handle)
      expect(await running).toMatchObject({ exit_code: null })
    })
  })

  describe.runIf(trial.can.processes)('exec of real processes', () => {
    it('tells signals as 128 + n with the name', async () => {
      const cell = await trial.spawn()
      expect(await cell.sh('kill -TERM $$')).toMatchObject({ exit_code: 143, signal: 'SIGTERM' })
      expect(await cell.sh('kill -KILL $$')).toMatchObject({ exit_code: 137, signal: 'SIGKILL' })
      expect(await cell.sh('exit 77')).toMatchObject({ exit_code: 77, signal: null })
    })

    it('gives 126 for what is no program and for a directory that does not exist', async () => {
      const cell = await trial.spawn()
      expect(await cell.run(['/mission/brief.md'])).toMatchObject({ exit_code: 126 })
      expect(await cell.run(['true'], { cwd: '/no/such/place' })).toMatchObject({ exit_code: 126 })
    })

    it('starts in the given directory', async () => {
      const cell = await trial.spawn()
      expect(await cell.run(['pwd'], { cwd: '/workspace/src' })).toMatchObject({
        exit_code: 0,
        stdout: '/workspace/src\n',
      })
    })

    it('hands arguments and binary output on as they are, stdout and stderr apart', async () => {
      const cell = await trial.spawn()
      const args = ['a b', '', '$(id)', '-n', '*', '\\', '"']
      expect((await cell.run(['printf', '[%s]', ...args])).stdout).toBe(args.map((arg) => `[${arg}]`).join(''))
      expect(await cell.sh('echo out; echo err >&2; printf "\\000\\377\\200"')).toMatchObject({
        stdout: 'out\n\x00\xff\x80',
        stderr: 'err\n',
      })
    })

    it('passes 10 MB through a slow reader, whole, without keeping it in memory', async () => {
      const cell = await trial.spawn()
      let [received, pending, most] = [0, 0, 0]
      const slow = async (_: string, data: Uint8Array) => {
        pending += 1
        most = Math.max(most, pending)
        received += data.length
        await new Promise((go) => setImmediate(go))
        pending -= 1
      }
      const exec = {
        command: ['head', '-c', String(10 * MEGABYTE), '/dev/zero'],
        environment: cell.spec.environment,
        cwd: '/',
        stdin: null,
      }
      const outcome = await trial.driver.exec({ handle: cell.handle, spec: cell.spec }, exec, slow, never)
      expect({ outcome, received, most }).toEqual({
        outcome: { exit_code: 0, signal: null },
        received: 10 * MEGABYTE,
        most: 1,
      })
    })

    it('passes 10 MB of stdin', async () => {
      const cell = await trial.spawn()
      expect(await cell.run(['wc', '-c'], { stdin: new Uint8Array(10 * MEGABYTE) })).toMatchObject({
        stdout: `${10 * MEGABYTE}\n`,
      })
    })

    it('does not mind stdin that nobody reads', async () => {
      const cell = await trial.spawn()
      expect(await cell.run(['true'], { stdin: new Uint8Array(4 * MEGABYTE) })).toMatchObject({ exit_code: 0 })
    })

    it('ends when the command ends, although a child in the background holds its output', async () => {
      const cell = await trial.spawn()
      const started = performance.now()
      expect(await cell.sh('echo begun; setsid sleep 60 & exit 3')).toMatchObject({ exit_code: 3, stdout: 'begun\n' })
      expect(performance.now() - started).toBeLessThan(10_000 * PACE)
    })

    it('aborted, ends the whole tree: children, and one that left by setsid and a double fork and holds the pipe', async () => {
      const cell = await trial.spawn()
      const script =
        '(setsid sh -c "sleep 4711 & exec sleep 4712" & ) ; sleep 4713 & trap "" TERM INT HUP; echo up; wait; sleep 4714'
      const abort = new AbortController()
      const exec = { command: ['/bin/sh', '-c', script], environment: cell.spec.environment, cwd: '/', stdin: null }
      const ended = await trial.driver.exec(
        { handle: cell.handle, spec: cell.spec },
        exec,
        () => abort.abort(),
        abort.signal,
      )
      expect(ended).toEqual({ exit_code: 137, signal: 'SIGKILL' })
      expect(trial.notices, 'the agent lives on').toEqual([])
      const left = await cell.sh(
        'for p in /proc/[0-9]*; do tr "\\0" " " < $p/cmdline; echo; done 2>/dev/null | grep "^sleep 471"',
      )
      expect(left.stdout).toBe('')
    })

    it('runs many at once', async () => {
      const cell = await trial.spawn()
      const runs = await Promise.all(Array.from({ length: 8 }, (_, n) => cell.sh('echo "$1"; exit "$1"', String(n))))
      expect(runs.map((run) => [run.exit_code, run.stdout])).toEqual(runs.map((_, n) => [n, `${n}\n`]))
    })
  })
}
