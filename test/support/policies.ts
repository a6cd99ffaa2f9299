import type { IsolationLevel } from '../../src/contract/ids.ts'
import type { Policy } from '../../src/contract/policy.ts'
import { readPolicies } from '../../src/main/policies.ts'
import { ROOT } from './source-tree.ts'

const policies = readPolicies(ROOT)

/** The policy that ships for a level, for a test to use as it is or to change. */
export const policyOf = (level: IsolationLevel, changes: Partial<Policy> = {}): Policy => ({
  ...policies.get(level)!,
  ...changes,
})
