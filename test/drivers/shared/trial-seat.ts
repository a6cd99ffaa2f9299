import type { SandboxSpec } from '../../../src/ports/cell-driver.ts'
import type { SpecChange } from '../../conformance/cell-driver/specs.ts'
import { type HullHarness, openHarness } from './harness.ts'

export const never = new AbortController().signal

export interface Done {
  readonly exit_code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

export interface TrialSeat {
  readonly spec: SandboxSpec
  readonly agent_pid: number
  run(command: readonly string[], stdin?: Uint8Array | null): Promise<Done>
}

/** A started seat of a harness; destroyed with it. */
export async function seat(harness: HullHarness, change: SpecChange = {}): Promise<TrialSeat> {
  const spec = await harness.spec(change)
  const { handle } = await harness.driver.spawn(spec, never)
  return {
    spec,
    agent_pid: handle.agent_pid!,
    async run(command, stdin = null) {
      const kept = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] }
      const exec = { command, environment: spec.environment, cwd: '/tmp', stdin }
      const keep = (stream: 'stdout' | 'stderr', data: Uint8Array) => void kept[stream].push(Uint8Array.from(data))
      const outcome = await harness.driver.exec({ handle, spec }, exec, keep, never)
      return {
        ...outcome,
        stdout: Buffer.concat(kept.stdout).toString(),
        stderr: Buffer.concat(kept.stderr).toString(),
      }
    },
  }
}

/** Destroys what a test left running and checks that nothing stays. */
export async function endAll(harness: HullHarness): Promise<readonly string[]> {
  for (const handle of await harness.driver.list()) await harness.driver.destroy(handle)
  return harness.leftovers()
}

export { type HullHarness, openHarness }
