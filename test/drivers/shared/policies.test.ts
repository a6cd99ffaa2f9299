import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { policy } from '../../../src/contract/policy.ts'
import { ROOT } from '../../support/source-tree.ts'

const text = (name: string) => readFileSync(join(ROOT, 'policies', name), 'utf8')

describe('policies', () => {
  it.each([
    ['level-1.json', 'level_1'],
    ['level-2.json', 'level_2'],
    ['level-3.json', 'level_3'],
    ['level-none.json', 'none'],
  ])('%s is a policy of %s', (file, level) => {
    expect(policy.parse(JSON.parse(text(file))).level).toBe(level)
  })

  /** After a change of the contract: npx vitest run test/drivers/shared/policies.test.ts -u */
  it('policy.schema.json is what the contract says', async () => {
    const schema = `${JSON.stringify(z.toJSONSchema(policy), null, 2)}\n`
    await expect(schema).toMatchFileSnapshot(join(ROOT, 'policies', 'policy.schema.json'))
  })

  it('README.md names the risk of every policy', () => {
    for (const level of ['level-1.json', 'level-2.json', 'level-3.json', 'level-none.json', 'seccomp.json']) {
      expect(text('README.md')).toContain(level)
    }
  })
})
