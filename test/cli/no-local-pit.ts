import type { LocalPit } from '../../src/cli/settings.ts'

const never = async (): Promise<never> => {
  throw new Error('no pit here')
}

/** For words that need no pit of this machine: whatever is asked of one fails the test. */
export const NO_LOCAL_PIT: LocalPit = {
  serve: never,
  doctor: never,
  start: never,
  createConfig: never,
  lifeSigns: async () => ({ pit: null, stopped: null, alive: false }),
  deadMan: never,
  service: { install: never, uninstall: never, print: never },
}
