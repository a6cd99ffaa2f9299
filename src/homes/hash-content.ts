import { Worker } from 'node:worker_threads'
import { asLazarusError } from '../kernel/errors.ts'

/** The worker's file has the ending of this one: .ts from source, .js when built. */
const WORKER = new URL(`./hash-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)

/**
 * Copies a file of records, with the sha256 of every regular file's content put in; resolves to the number of files
 * that may not be read.
 */
export async function addContent(from: string, to: string, abort: AbortSignal): Promise<number> {
  abort.throwIfAborted()
  const worker = new Worker(WORKER, { workerData: { from, to }, env: {} })
  const stop = () => void worker.terminate()
  abort.addEventListener('abort', stop, { once: true })
  try {
    return await new Promise<number>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', (error) => reject(asLazarusError(error)))
      worker.once('exit', () => reject(abort.reason ?? new Error('the hashing thread ended without an answer')))
    })
  } finally {
    abort.removeEventListener('abort', stop)
    await worker.terminate()
  }
}
