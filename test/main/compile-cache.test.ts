import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { compileCacheOf, pruneCompileCache } from '../../src/main/compile-cache.ts'

test('compiled code of versions that are gone is dropped after a month, that of the present one never', () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'lazarus-cache-'))
  try {
    const directory = compileCacheOf(stateDir)
    const month_ago = Date.now() / 1000 - 31 * 86_400
    for (const name of ['v24.1.0', 'v24.2.0', 'v24.3.0']) mkdirSync(join(directory, name), { recursive: true })
    for (const name of ['v24.1.0', 'v24.2.0']) utimesSync(join(directory, name), month_ago, month_ago)
    pruneCompileCache(stateDir, Date.now(), join(directory, 'v24.2.0'))
    expect(readdirSync(directory)).toEqual(['v24.2.0', 'v24.3.0'])
    pruneCompileCache(join(stateDir, 'missing'), Date.now(), undefined)
  } finally {
    rmSync(stateDir, { recursive: true })
  }
})
