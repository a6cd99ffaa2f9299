import type { Check } from '../../contract/host.ts'
import { SYSTEM_PATH } from '../../linux/hull.ts'
import { run } from '../../linux/run.ts'

/** --disable-userns and --assert-userns-disabled. */
const OLDEST = [0, 8]

/** What must be there before a sandbox can be tried. */
export async function bwrapChecks(): Promise<Check[]> {
  const found = await run('bwrap', ['--version'], { environment: { PATH: SYSTEM_PATH } }).catch(() => null)
  const version = /(\d+)\.(\d+)/.exec(found?.stdout.toString() ?? '')
  const ok = version !== null && isAtLeast([Number(version[1]), Number(version[2])], OLDEST)
  return [
    {
      name: 'bubblewrap',
      ok,
      message: version ? `bubblewrap ${version[0]}` : 'bwrap was not found',
      remedy: ok ? null : `Install bubblewrap ${OLDEST.join('.')} or newer: apt install bubblewrap`,
      promise: null,
    },
  ]
}

const isAtLeast = (version: readonly number[], wanted: readonly number[]): boolean =>
  version[0] !== wanted[0] ? version[0]! > wanted[0]! : version[1]! >= wanted[1]!
