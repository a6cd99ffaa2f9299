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
    if (!pipe.write(chunk)) await drained(pipe)
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

/** There is room again, or there never will be. */
const drained = (pipe: PassThrough): Promise<void> =>
  new Promise((resolve) => {
    const go = () => {
      pipe.off('drain', go).off('close', go)
      resolve()
    }
    pipe.on('drain', go).on('close', go)
  })
