import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Every connection, whichever door it came through, and whether it waits for an answer. */
export class Connections {
  readonly #open = new Set<Socket>()
  readonly #busy = new Set<Socket>()
  #closing = false

  add(socket: Socket): void {
    if (this.#closing) return void socket.destroy()
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
  }

  /** A request came in on it; it is idle again when the answer is out, and then not wanted any more while closing. */
  begin(raw: ServerResponse, socket: Socket): void {
    this.#busy.add(socket)
    raw.once('close', () => {
      this.#busy.delete(socket)
      if (this.#closing) socket.destroySoon()
    })
  }

  closeIdle(): void {
    this.#closing = true
    for (const socket of this.#open) if (!this.#busy.has(socket)) socket.destroy()
  }

  closeAll(): void {
    for (const socket of this.#open) socket.destroy()
  }
}
