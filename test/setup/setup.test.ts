import { describe, expect, it } from 'vitest'
import { run } from './run.ts'

describe('bin/setup', () => {
  it('--check reports every part and changes nothing', async () => {
    const { code, stdout } = await run('bin/setup', ['--check'])
    const parts = stdout.split('\n').filter((line) => /^\w+ +ok /.test(line))
    expect(parts.map((line) => line.split(' ')[0])).toEqual([
      'packages',
      'operator',
      'devices',
      'storage',
      'node',
      'modules',
      'podman',
      'image',
    ])
    expect(code).toBe(0)
  })

  it('has nothing to do and to say the second time, in under two seconds', async () => {
    const started = performance.now()
    expect(await run('bin/setup', [])).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(performance.now() - started).toBeLessThan(2_000)
  })

  it('refuses an option that it does not know', async () => {
    expect(await run('bin/setup', ['--chek'])).toMatchObject({ code: 2, stderr: expect.stringContaining('usage') })
  })
})
