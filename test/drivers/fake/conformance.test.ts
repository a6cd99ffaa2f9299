import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { policy as policySchema } from '../../../src/contract/policy.ts'
import { createFakeDriver, FAKE_STEPS } from '../../../src/drivers/fake/driver.ts'
import { FakeHost } from '../../../src/drivers/fake/host.ts'
import { makeSpecs } from '../../conformance/cell-driver/specs.ts'
import { cellDriverConformance, type DriverHarness, type DriverSubject } from '../../conformance/cell-driver.ts'

const POLICY = join(import.meta.dirname, '..', '..', '..', 'policies', 'level-none.json')

async function open(): Promise<DriverHarness> {
  const root = await mkdtemp(join(tmpdir(), 'lazarus-fake-'))
  const specs = await makeSpecs(
    root,
    policySchema.parse({ ...JSON.parse(await readFile(POLICY, 'utf8')), network: 'none' }),
  )
  const host = new FakeHost()
  let failing: string | null = null
  const faults = (step: string) => {
    if (step === failing) throw new Error(`injected into ${step}`)
  }
  const make = () =>
    createFakeDriver({ host, clock: { now: () => Date.now(), monotonic: () => performance.now() }, faults })
  return {
    driver: make(),
    restart: () => Promise.resolve(make()),
    spec: (change) => specs.make(change),
    failAt: (step) => {
      failing = step
    },
    leftovers: () => Promise.resolve([...host.sandboxes.keys()]),
    async [Symbol.asyncDispose]() {
      await specs[Symbol.asyncDispose]()
      await rm(root, { recursive: true, force: true })
    },
  }
}

const subject: DriverSubject = {
  can: { processes: false, isolation: false, freeze: true, unkept: null, steps: FAKE_STEPS },
  open,
}

cellDriverConformance('none fake', subject)
