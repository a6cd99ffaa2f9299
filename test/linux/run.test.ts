import { describe, expect, it } from 'vitest'
import { run } from '../../src/linux/run.ts'

const environment = { PATH: '/usr/bin:/bin' }
const sh = (script: string, options = {}) => run('/bin/sh', ['-c', script], { environment, ...options })

describe('run', () => {
  it('gives output, exit code and the end of stderr', async () => {
    const done = await sh('echo out; echo err >&2; exit 3')
    expect(done).toMatchObject({ exit_code: 3, signal: null, stderr: 'err\n', ended: 'exit' })
    expect(done.stdout.toString()).toBe('out\n')
    expect((await sh('head -c 100000 /dev/zero >&2; echo end >&2')).stderr.length).toBe(16 * 1024)
  })

  it('hands on the given environment and no other', async () => {
    process.env.LAZARUS_TEST_LEAK = 'leaked'
    expect((await run('/usr/bin/env', [], { environment: { ONLY: 'this' } })).stdout.toString()).toBe('ONLY=this\n')
  })

  it('waits for a slow consumer', async () => {
    let [most, pending] = [0, 0]
    const on_stdout = async () => {
      most = Math.max(most, ++pending)
      await new Promise((go) => setImmediate(go))
      pending -= 1
    }
    expect((await sh('head -c 1000000 /dev/zero', { on_stdout })).exit_code).toBe(0)
    expect(most).toBe(1)
  })

  it('ends with an error of its consumer, and the program with it', async () => {
    const on_stdout = () => Promise.reject(new Error('full'))
    await expect(sh('while :; do echo x; done', { on_stdout })).rejects.toThrow('full')
  })

  it('does not wait for what a program leaves behind', async () => {
    const began = performance.now()
    expect((await sh('sleep 60 & exit 0')).exit_code).toBe(0)
    expect(performance.now() - began).toBeLessThan(20_000)
  })

  it('is bounded in time and bytes', async () => {
    expect(await sh('sleep 60', { timeout_ms: 50 })).toMatchObject({ ended: 'timeout', signal: 'SIGKILL' })
    expect(await sh('cat /dev/zero', { max_stdout_bytes: 1000 })).toMatchObject({ ended: 'overflow' })
  })

  it('translates what cannot be started', async () => {
    await expect(run('no-such-program', [], { environment })).rejects.toMatchObject({ code: 'runtime_failed' })
    await expect(run('/bin/true', ['x'.repeat(3_000_000)], { environment })).rejects.toMatchObject({
      code: 'invalid_request',
    })
  })
})
