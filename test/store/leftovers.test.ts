import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createLeftovers } from '../../src/store/leftovers.ts'

const ids = ['a', 'b', 'c'].map((digit) => `00000000-0000-4000-8000-00000000000${digit}`)
const [alive = '', over = '', young = ''] = ids

test('what belongs to missions that are not alive goes, but not at once, and nothing else does', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'lazarus-leftovers-'))
  try {
    const now = Date.now()
    const places = ['doors', 'vault'].map((name) => join(dir, name))
    for (const place of places) {
      for (const id of [...ids, 'operator-made']) {
        mkdirSync(join(place, id), { recursive: true })
        writeFileSync(join(place, id, 'builder.json'), '{"SECRET":"canary"}')
        const age_s = id === young ? 60 : 7200
        utimesSync(join(place, id), now / 1000 - age_s, now / 1000 - age_s)
      }
    }
    const leftovers = createLeftovers([...places, join(dir, 'missing')], join(dir, 'missions'), {
      now: () => now,
      monotonic: () => now,
    })
    await leftovers.sweep((id) => id === alive)
    for (const place of places)
      expect(readdirSync(place).toSorted()).toEqual([alive, young, 'operator-made'].toSorted())
    expect(readdirSync(join(dir, 'doors'))).not.toContain(over)
  } finally {
    rmSync(dir, { recursive: true })
  }
})
