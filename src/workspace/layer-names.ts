import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { SeatName } from '../contract/ids.ts'
import { randomName } from './durable.ts'

/**
 * Names beside the layers of a mission. No agent id begins with a dot or holds one. What bears such a name may hold
 * what an agent wrote, so only the airlock empties it.
 */

/** Of what only waits for removal. */
export const goneName = (parent: string, { agent_id }: SeatName): string =>
  join(parent, `.gone-${agent_id}.${randomName()}`)

/** Of a layer that was laid out of a checkpoint, and of one that is being laid out. */
export const stagedName = (parent: string, { agent_id }: SeatName, checkpoint_id: string): string =>
  join(parent, `.staged-${agent_id}.${checkpoint_id}`)
export const stagingName = (parent: string, { agent_id }: SeatName): string =>
  join(parent, `.staging-${agent_id}.${randomName()}`)

export const namesOf = (kind: 'gone' | 'staged' | 'staging', parent: string, { agent_id }: SeatName) =>
  readdir(parent)
    .catch(() => [])
    .then((names) => names.filter((name) => name.startsWith(`.${kind}-${agent_id}.`)).map((name) => join(parent, name)))
