import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { never } from '../../conformance/cell-driver/trial.ts'
import { openHarness } from './harness.ts'

/** ptrace(PTRACE_TRACEME): Podman's own profile lets it pass, ours does not. Numbers of x86_64 and aarch64. */
const NUMBER = process.arch === 'x64' ? 101 : 117
const PTRACE = ['perl', '-e', `print syscall(${NUMBER}, 0, 0, 0, 0), " ", $! + 0`]

describe('level_3 podman confinement', () => {
  it('is under our seccomp profile, not merely under one', async () => {
    await using harness = await openHarness()
    const inCell = async (seccomp: string | null) => {
      const spec = await harness.spec({ policy: { seccomp, nested_user_namespaces: seccomp === null } })
      const { handle } = await harness.driver.spawn(spec, never)
      const output: Uint8Array[] = []
      const exec = { command: PTRACE, environment: spec.environment, cwd: '/', stdin: null }
      await harness.driver.exec({ handle, spec }, exec, (_, data) => void output.push(data), never)
      await harness.driver.destroy(handle)
      return Buffer.concat(output).toString()
    }
    expect(await inCell('seccomp.json')).toBe('-1 1')
    expect(await inCell(null), "positive control: Podman's profile").toBe('0 0')
    expect(execFileSync(PTRACE[0]!, PTRACE.slice(1), { encoding: 'utf8' }), 'positive control: none').toBe('0 0')
  })
})
