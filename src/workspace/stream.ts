import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import type { RunOptions, RunResult } from '../linux/run.ts'

/** The output of a run while it runs, and how it ended. Leaving the chunks early ends the run. */
export interface Stream {
  readonly chunks: AsyncIterable<Uint8Array>
  /** null: the reader left before the end. */
  readonly done: Promise<RunResult | null>
}

export function streamOf(start: (on_stdout: NonNullable<RunOptions['on_stdout']>) => Promise<RunResult>): Stream {
  const pipe = new PassThrough()
  pipe.on('error', () => {})
  const left = new Error('the reader left')
  const write = async (chunk: Uint8Array): Promise<void> => {
    if (pipe.destroyed) throw left
    if (!pipe.write(chunk)) await Promise.race([once(pipe, 'drain'), once(pipe, 'close')])
    if (pipe.destroyed) throw left
  }
  const done = start(write)
    .catch((error) => {
      if (error === left) return null
      pipe.destroy(error)
      throw error
    })
    .finally(() => pipe.end())
  done.catch(() => {})
  return { chunks: pipe, done }
}
