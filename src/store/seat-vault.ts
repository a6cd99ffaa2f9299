import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { agentId, missionId, type SeatName } from '../contract/ids.ts'
import { environment } from '../contract/seat.ts'
import { asLazarusError, LazarusError } from '../kernel/errors.ts'
import type { SeatVault } from '../ports/seat-vault.ts'
import { removeTemporaries, writeAtomic } from './atomic-file.ts'

type ErrnoException = NodeJS.ErrnoException

const describe = ({ mission_id, agent_id }: SeatName): string => `seat "${agent_id}" of mission ${mission_id}`

/** `<dir>/<mission_id>/<agent_id>.json`, mode 0600 in directories of mode 0700, durable: without it a seat cannot be revived. */
class FileVault implements SeatVault {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  async put(seat: SeatName, values: Readonly<Record<string, string>>): Promise<void> {
    try {
      await mkdir(this.#mission(seat), { recursive: true, mode: 0o700 })
      await writeAtomic(this.#path(seat), JSON.stringify(values), { durable: true })
    } catch (error) {
      throw asLazarusError(error)
    }
  }

  async get(seat: SeatName): Promise<Readonly<Record<string, string>>> {
    const text = await readFile(this.#path(seat), 'utf8').catch((cause: ErrnoException) => {
      if (cause.code !== 'ENOENT') throw asLazarusError(cause)
      throw new LazarusError('seat_not_found', `The vault has no environment of ${describe(seat)}`, { cause })
    })
    try {
      return environment.parse(JSON.parse(text))
    } catch {
      // The cause would quote the content, which is secret.
      throw new LazarusError('internal', `The vault's file of ${describe(seat)} is damaged`, {
        remedy: 'Withdraw the seat and seat the agent again.',
      })
    }
  }

  async remove(seat: SeatName): Promise<void> {
    if (!existsSync(this.#mission(seat))) return // no seat of the mission has an environment
    await rm(this.#path(seat), { force: true })
    await removeTemporaries(this.#mission(seat))
    // The directory goes with its last seat; a seat that is there, or was never put, is no error.
    await rmdir(this.#mission(seat)).catch((error: ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'ENOENT') throw error
    })
  }

  #mission({ mission_id }: SeatName): string {
    if (!missionId.safeParse(mission_id).success)
      throw new LazarusError('invalid_request', `${JSON.stringify(mission_id)} is no mission id`)
    return join(this.#directory, mission_id)
  }

  #path(seat: SeatName): string {
    if (!agentId.safeParse(seat.agent_id).success)
      throw new LazarusError('invalid_request', `${JSON.stringify(seat.agent_id)} is no agent id`)
    return join(this.#mission(seat), `${seat.agent_id}.json`)
  }
}

export const createSeatVault = ({ dir }: { readonly dir: string }): SeatVault => new FileVault(dir)
