import { rename, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { SeatName } from '../contract/ids.ts'
import { goneName, namesOf } from './layer-names.ts'
import type { Parts } from './parts.ts'
import { empty } from './seat-files.ts'

/** Deletes what waits for it, that of interrupted removals too. One at a time, so that none meets another halfway. */
export async function removeGone(parts: Parts, seat: SeatName): Promise<void> {
  const parent = dirname(parts.layers.directory(seat))
  await parts.removals.run(parent, async () => {
    for (const directory of await namesOf('gone', parent, seat)) {
      parts.requireOwn(directory)
      await empty(parts.airlock, directory)
      parts.faults('layer.remove')
      await rmdir(directory)
    }
  })
}

/** What was staged for a seat, whole or not, and was not swapped in. */
export async function removeStaged(parts: Parts, seat: SeatName): Promise<void> {
  const parent = dirname(parts.layers.directory(seat))
  const staged = [...(await namesOf('staged', parent, seat)), ...(await namesOf('staging', parent, seat))]
  for (const directory of staged) await rename(directory, goneName(parent, seat))
  if (staged.length > 0) await removeGone(parts, seat)
}
