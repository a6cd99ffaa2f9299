import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { IsolationLevel } from '../contract/ids.ts'
import { type Policy, policy as policySchema } from '../contract/policy.ts'
import { problemsOf } from '../contract/problems.ts'
import { LazarusError } from '../kernel/errors.ts'

const FILES: Readonly<Record<IsolationLevel, string>> = {
  level_1: 'level-1.json',
  level_2: 'level-2.json',
  level_3: 'level-3.json',
  none: 'level-none.json',
}

/** The policies that ship with the pit. One that does not parse stops the start: there is no default for a bad policy. */
export function readPolicies(packageDir: string): ReadonlyMap<IsolationLevel, Policy> {
  return new Map(
    Object.entries(FILES).map(([level, file]) => [
      level as IsolationLevel,
      readPolicy(join(packageDir, 'policies', file)),
    ]),
  )
}

function readPolicy(path: string): Policy {
  const parsed = policySchema.safeParse(JSON.parse(readFileSync(path, 'utf8')))
  if (parsed.success) return parsed.data
  throw new LazarusError('policy_invalid', `The policy ${path} is wrong: ${problemsOf(parsed.error)}`)
}
