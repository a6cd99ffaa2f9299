import { chmodSync, mkdirSync } from 'node:fs'
import { rm, rmdir } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { dirname, join } from 'node:path'
import type { SandboxName } from '../contract/ids.ts'
import type { Entropy } from '../kernel/clock.ts'
import type { CellDoor } from '../ports/cell-door.ts'
import { listenUnix, type UnixListener } from './unix-socket.ts'

export const CELL_SOCKET = 'cell.sock'
const MAX_CONNECTIONS_OF_A_SEAT = 64

export interface CellDoorOptions {
  /** Private to the operator; each door gets a directory of its own below it. */
  readonly directory: string
  readonly entropy: Entropy
}

/**
 * The sockets of the seats. Every generation has its own directory and socket: the socket is the identity. The
 * directory outlives the pit, because a living cell has it mounted; `open` then puts a new socket into it.
 */
export class UnixCellDoors implements CellDoor {
  readonly #options: CellDoorOptions
  readonly #open = new Map<string, Promise<UnixListener>>()
  #deliver: (socket: Socket, name: SandboxName) => void = (socket) => socket.destroy()

  constructor(options: CellDoorOptions) {
    this.#options = options
  }

  /** Who answers on the sockets. Until then connections are refused. */
  attach(deliver: (socket: Socket, name: SandboxName) => void): void {
    this.#deliver = deliver
  }

  async open(name: SandboxName): Promise<string> {
    const directory = this.#directory(name)
    const listener = this.#open.get(directory) ?? this.#listen(name, directory)
    this.#open.set(directory, listener)
    try {
      await listener
    } catch (error) {
      this.#open.delete(directory)
      throw error
    }
    return directory
  }

  async close(name: SandboxName): Promise<void> {
    const directory = this.#directory(name)
    const listener = this.#open.get(directory)
    this.#open.delete(directory)
    await (await listener)?.end()
    await rm(directory, { recursive: true, force: true })
    // Gone with its last door; it fails, and stays, while it holds another.
    await rmdir(dirname(directory)).catch(() => {})
  }

  /** The pit ends; cells live on and keep their directories. */
  async closeAll(): Promise<void> {
    const listeners = [...this.#open.values()]
    this.#open.clear()
    await Promise.allSettled(listeners.map(async (listener) => (await listener).close()))
  }

  #directory(name: SandboxName): string {
    return join(this.#options.directory, name.mission_id, `${name.agent_id}.${name.generation}`)
  }

  /** Inside a level 3 cell another uid connects: the directory and the socket are open, their parent is not. */
  async #listen(name: SandboxName, directory: string): Promise<UnixListener> {
    mkdirSync(this.#options.directory, { recursive: true, mode: 0o700 })
    chmodSync(this.#options.directory, 0o700)
    mkdirSync(directory, { recursive: true })
    chmodSync(directory, 0o755)
    return listenUnix({
      path: join(directory, CELL_SOCKET),
      staging: this.#options.directory,
      temporary: this.#options.entropy.uuid(),
      mode: 0o666,
      max_connections: MAX_CONNECTIONS_OF_A_SEAT,
      onConnection: (socket) => this.#deliver(socket, name),
    })
  }
}
