import { describe } from 'vitest'
import type { PromiseName } from '../../src/contract/policy.ts'
import type { CellDriver, SandboxSpec } from '../../src/ports/cell-driver.ts'
import { describeDestroy } from './cell-driver/destroy.ts'
import { describeExec } from './cell-driver/exec.ts'
import { describeExits } from './cell-driver/exits.ts'
import { describeFaults } from './cell-driver/faults.ts'
import { describeFreeze } from './cell-driver/freeze.ts'
import { describeHold } from './cell-driver/hold.ts'
import { describeIsolation } from './cell-driver/isolation.ts'
import { describeLog } from './cell-driver/log.ts'
import { describeMounts } from './cell-driver/mounts.ts'
import { describeRecovery } from './cell-driver/recovery.ts'
import { describeSpawn } from './cell-driver/spawn.ts'
import type { SpecChange } from './cell-driver/specs.ts'
import { openTrial } from './cell-driver/trial.ts'

/** What one implementation can do on this host. A test that needs more is reported as skipped by this declaration. */
export interface SubjectCapabilities {
  /** Real processes in a real file system: a shell, perl, signals, pipes. */
  readonly processes: boolean
  /** Namespaces, a private root, hidden paths. */
  readonly isolation: boolean
  readonly freeze: boolean
  /** A promise that this level cannot keep on this host: its refusal is tested. null on a host that keeps all. */
  readonly unkept: PromiseName | null
  /** Steps that `failAt` can break, by verb, in the order in which the driver takes them. */
  readonly steps: {
    readonly spawn: readonly string[]
    readonly exec: readonly string[]
    readonly destroy: readonly string[]
  }
}

export interface DriverHarness extends AsyncDisposable {
  readonly driver: CellDriver
  /** A new driver over the same root, as after a restart of the pit. The one before is never called again. */
  restart(): Promise<CellDriver>
  /** A new seat with real mounts (see makeSpecs) and a policy that this host can keep. */
  spec(change?: SpecChange): Promise<SandboxSpec>
  /** From now on the named step throws EFAULT; null ends that. */
  failAt(step: string | null): void
  /** Names every process, mount, container and file of this driver that the host still shows. */
  leftovers(): Promise<readonly string[]>
}

export interface DriverSubject {
  readonly can: SubjectCapabilities
  open(): Promise<DriverHarness>
}

/** The one suite of the CellDriver port. `name` begins with the level: 'level_3 podman'. */
export function cellDriverConformance(name: string, subject: DriverSubject): void {
  describe(`${name} as a CellDriver`, () => {
    const trial = openTrial(subject)
    describeSpawn(trial)
    describeHold(trial)
    describeMounts(trial)
    describeLog(trial)
    describeExec(trial)
    describeExits(trial)
    describeFreeze(trial)
    describeRecovery(trial)
    describeDestroy(trial)
    describeIsolation(trial)
    describeFaults(trial)
  })
}
