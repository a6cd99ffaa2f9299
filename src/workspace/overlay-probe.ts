import { chmod, mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runInHull } from '../linux/hull.ts'
import { makePrivateDirectory, randomName, removeOwnTree } from './durable.ts'
import { UNFINISHED_MS } from './sweep-trash.ts'

export type OverlayProbe = { readonly possible: true } | { readonly possible: false; readonly reason: string }

const PREFIX = '.overlay-probe-'

/** Writes, renames and deletes through an overlay, and sees that the lower layer stayed as it was. */
const TRY = `
set -e
cd /overlay
[ "$(cat kept)" = lower ]
echo changed >kept
rm gone
mkdir fresh
mv kept fresh/moved
[ "$(cat fresh/moved)" = changed ] && [ ! -e gone ] && [ "$(cat /lower/gone)" = lower ]
`

/** Mounts a real overlay below `directory`. Where that fails, private clones stand in for overlay layers. */
export async function overlayPossible(directory: string, now_ms: number, abort: AbortSignal): Promise<OverlayProbe> {
  await makePrivateDirectory(directory)
  await sweepProbes(directory, now_ms - UNFINISHED_MS)
  const place = join(directory, `${PREFIX}${randomName()}`)
  await mkdir(place, { mode: 0o700 })
  try {
    for (const name of ['lower', 'upper', 'work', 'run']) await mkdir(join(place, name), { mode: 0o700 })
    for (const name of ['kept', 'gone']) await writeFile(join(place, 'lower', name), 'lower\n')
    const done = await runInHull(
      {
        run_dir: join(place, 'run'),
        mounts: [
          { kind: 'bind', source: '/usr', target: '/usr', read_only: true },
          { kind: 'proc', target: '/proc' },
          { kind: 'device', target: '/dev/null' },
          { kind: 'bind', source: join(place, 'lower'), target: '/lower', read_only: false },
          {
            kind: 'overlay',
            target: '/overlay',
            lowers: [join(place, 'lower')],
            upper: join(place, 'upper'),
            work: join(place, 'work'),
          },
        ],
        symlinks: { '/bin': 'usr/bin', '/lib': 'usr/lib', '/lib64': 'usr/lib64' },
        network: 'own',
        rlimits: { core: 0 },
        command: ['/bin/sh', '-c', TRY],
        environment: { LC_ALL: 'C' },
      },
      { timeout_ms: 10_000, abort },
    )
    return done.exit_code === 0
      ? { possible: true }
      : { possible: false, reason: done.stderr.trim() || 'an overlay does not behave as one' }
  } catch (error) {
    abort.throwIfAborted()
    return { possible: false, reason: error instanceof Error ? error.message : String(error) }
  } finally {
    await removeProbe(place)
  }
}

/** What a process that was killed in its probe left; another may be probing here just now. */
async function sweepProbes(directory: string, before_ms: number): Promise<void> {
  for (const name of (await readdir(directory)).filter((name) => name.startsWith(PREFIX))) {
    const place = join(directory, name)
    const made = await stat(place).catch(() => null)
    if (made !== null && made.mtimeMs < before_ms) await removeProbe(place)
  }
}

async function removeProbe(place: string): Promise<void> {
  // The kernel made it with mode 000; it belongs to us.
  await chmod(join(place, 'work', 'work'), 0o700).catch(() => {})
  await removeOwnTree(place)
}
