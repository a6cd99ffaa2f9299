import { readFileSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { describe, expect, it } from 'vitest'
import { ROOT, run } from './run.ts'

const asOperator = (args: readonly string[], options = {}) => run('bin/as-operator', args, options)

describe('bin/as-operator', () => {
  it('started this suite: an ordinary user, Node 24, cgroup v2, a private runtime directory', () => {
    const runtime = process.env.XDG_RUNTIME_DIR ?? ''
    expect(process.getuid?.()).not.toBe(0)
    expect(Number(process.versions.node.split('.')[0])).toBeGreaterThanOrEqual(24)
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).toMatch(/ \/sys\/fs\/cgroup .* - cgroup2 /)
    expect(statSync(runtime)).toMatchObject({ uid: process.getuid?.() })
    expect(statSync(runtime).mode & 0o777).toBe(0o700)
  })

  it('hands arguments on as they are', async () => {
    const { stdout } = await asOperator(['printf', '%s|', 'two  words', '*', '', '$HOME', '--help'])
    expect(stdout).toBe('two  words|*||$HOME|--help|')
  })

  it('hands on the exit code, standard input and the working directory', async () => {
    const { code, stdout } = await asOperator(['bash', '-c', 'pwd; cat; exit 37'], { input: 'hello', cwd: tmpdir() })
    expect({ code, stdout }).toEqual({ code: 37, stdout: `${tmpdir()}\nhello` })
  })

  it('leaves no process between: a signal ends the command itself', async () => {
    const outcome = await asOperator(['bash', '-c', 'echo $$; exec sleep 60'], {
      during: (child: { stdout: NodeJS.ReadableStream; kill(signal: string): void }) =>
        child.stdout.once('data', () => child.kill('SIGTERM')),
    })
    expect(outcome).toMatchObject({ signal: 'SIGTERM', stdout: `${outcome.pid}\n` })
  })

  it('finds the installed tools first', async () => {
    const { stdout } = await asOperator(['bash', '-c', 'type -P node vitest'])
    expect(stdout).toBe(`${ROOT}/.tools/bin/node\n${ROOT}/node_modules/.bin/vitest\n`)
  })

  it('answers a command that does not exist with 127 and a call without a command with 2', async () => {
    expect((await asOperator(['no-such-command'])).code).toBe(127)
    expect(await asOperator([])).toMatchObject({ code: 2, stderr: expect.stringContaining('usage') })
  })
})
