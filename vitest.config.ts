import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  cacheDir: join(tmpdir(), `lazarus-vite-${process.getuid?.() ?? 0}`),
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/vm/**', 'test/bench/**'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
    // Real processes on a shared machine: one more try in CI, which the report names; at a desk every failure shows at once.
    retry: process.env.CI ? 1 : 0,
  },
})
