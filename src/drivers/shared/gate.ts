import type { Readable, Writable } from 'node:stream'
import { LazarusError } from '../../kernel/errors.ts'

const READY_WITHIN_MS = 30_000
const TEXT_KEPT = 8_192
const MESSAGES_KEPT = 4

export interface Report {
  /** What went wrong on the way, from the hull and the scripts. */
  readonly message: string
  readonly ready: boolean
}

const parse = (text: string): Report => {
  const lines = text.split('\n')
  return {
    message: lines
      .filter((line) => line !== 'ready' && line !== '')
      .slice(0, MESSAGES_KEPT)
      .join('; '),
    ready: lines.slice(0, -1).includes('ready'),
  }
}

/** The report descriptor of a starting sandbox or exec: told line by line, closed when it failed. */
export class Gate {
  readonly #report: Readable
  readonly #word: Writable | null
  #text = ''
  #closed = false
  #wake: (() => void) | null = null

  /** Without a `word` to write there is nobody to be let go. */
  constructor(report: Readable, word: Writable | null = null) {
    this.#report = report
    this.#word = word
    report.on('data', (data: Buffer) => {
      this.#text = (this.#text + data.toString('utf8')).slice(0, TEXT_KEPT)
      this.#wake?.()
    })
    for (const event of ['end', 'close', 'error']) report.on(event, () => this.giveUp())
    word?.on('error', () => {})
  }

  /** What has not been told yet will not be. */
  giveUp(): void {
    this.#closed = true
    this.#wake?.()
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

  /** Lets the agent start. */
  open(): void {
    this.#report.destroy()
    this.#word?.end('go\n')
  }

  close(): void {
    this.#report.destroy()
    this.#word?.destroy()
  }
}
