import { Socket } from 'node:net'

/**
 * Reads one end of a pipe to a consumer, chunk by chunk with back-pressure. The end of the stream is not waited for
 * for ever: a process that stays behind may hold the other end, so after the exit `drained` is told when the pipe is
 * empty.
 */
export class Output {
  readonly #socket: Socket
  #chunks = 0
  #busy: Promise<void> | null = null
  #ended = false
  #failure: unknown = null

  constructor(fd: number, take: (data: Uint8Array) => void | Promise<void>, onFailure: () => void) {
    this.#socket = new Socket({ fd, readable: true, writable: false })
    this.#socket.on('data', (data) => {
      this.#chunks += 1
      this.#socket.pause()
      this.#busy = Promise.resolve()
        .then(() => take(data))
        .catch((error) => {
          this.#failure = error
          onFailure()
        })
        .finally(() => {
          this.#busy = null
          this.#socket.resume()
        })
    })
    for (const event of ['end', 'error', 'close']) {
      this.#socket.on(event, () => {
        this.#ended = true
      })
    }
  }

  /** Call after the exit of the command. Everything that it wrote is in the pipe by then. */
  async drained(): Promise<void> {
    while (!this.#ended && this.#failure === null) {
      const before = this.#chunks
      await this.#busy
      await pollOnce()
      if (this.#chunks === before && this.#busy === null) break
    }
    await this.#busy
    this.#socket.destroy()
    if (this.#failure !== null) throw this.#failure
  }
}

/** From one check phase to the one after the next: the event loop polled every descriptor in between. */
async function pollOnce(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise<void>((go) => setImmediate(go))
}
