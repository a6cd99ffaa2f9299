import type { ChildProcess } from 'node:child_process'
import type { Duplex } from 'node:stream'
import { LazarusError } from '../../kernel/errors.ts'

const READY_WITHIN_MS = 30_000
const TEXT_KEPT = 8_192
const MESSAGES_KEPT = 4

export interface Report {
  /** Host pid of the hull's init, where a hull was made. */
  readonly hull_pid: number | null
  /** What went wrong on the way, from mount(8), bwrap, the scripts. */
  readonly message: string
  readonly ready: boolean
}

const parse = (text: string): Report => {
  const lines = text.split('\n')
  const init = lines.find((line) => line.startsWith('init '))
  return {
    hull_pid: init === undefined ? null : Number(init.slice('init '.length)),
    message: lines
      .filter((line) => line !== 'ready' && line !== '' && !/^init |dmesg\(1\)/.test(line))
      .slice(0, MESSAGES_KEPT)
      .join('; '),
    ready: lines.slice(0, -1).includes('ready'),
  }
}

/** The report descriptor of a starting sandbox or exec: told line by line, closed when it failed. */
export class Gate {
  readonly #socket: Duplex
  #text = ''
  #closed = false
  #wake: (() => void) | null = null

  constructor(child: ChildProcess) {
    this.#socket = child.stdio[3] as Duplex
    this.#socket.on('data', (data: Buffer) => {
      this.#text = (this.#text + data.toString('utf8')).slice(0, TEXT_KEPT)
      this.#wake?.()
    })
    const close = () => {
      this.#closed = true
      this.#wake?.()
    }
    for (const event of ['end', 'close', 'error']) this.#socket.on(event, close)
    child.once('exit', close)
  }

  get report(): Report {
    return parse(this.#text)
  }

  /** Resolves when the sandbox is ready, or its start has failed. */
  async settled(abort: AbortSignal): Promise<Report> {
    const deadline = AbortSignal.timeout(READY_WITHIN_MS)
    const stop = AbortSignal.any([abort, deadline])
    while (!this.report.ready && !this.#closed) {
      abort.throwIfAborted()
      if (deadline.aborted)
        throw new LazarusError(
          'timed_out',
          `The sandbox did not report within ${READY_WITHIN_MS} ms: ${this.report.message}`,
        )
      await new Promise<void>((wake) => {
        this.#wake = wake
        stop.addEventListener('abort', () => wake(), { once: true })
      })
    }
    return this.report
  }

  /** Lets the agent start. The other end stays open in the shim for as long as the sandbox lives. */
  open(): void {
    this.#socket.end('go\n', () => this.#socket.destroy())
  }

  close(): void {
    this.#socket.destroy()
  }
}
