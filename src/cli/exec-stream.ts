import { once } from 'node:events'
import type { ErrorBody } from '../contract/api.ts'
import type { ExecFrame, ExecRequest } from '../contract/seat.ts'
import { LazarusError } from '../kernel/errors.ts'
import { ApiError } from './client.ts'
import { EXIT } from './exit-codes.ts'
import { lines } from './server-sent.ts'
import type { Session } from './session.ts'

export type ExecEnd = Extract<ExecFrame, { exit_code: unknown }>

/** Runs a command in a seat, its output on our own streams as it comes. */
export async function execStreamed(session: Session, seat: string, body: ExecRequest): Promise<ExecEnd> {
  const stream = await session.stream('POST', `${seat}/exec`, { body, accept: 'application/x-ndjson' })
  for await (const line of lines(stream)) {
    const frame = JSON.parse(line) as ExecFrame | ErrorBody
    if ('error' in frame) throw new ApiError(frame)
    if (!('stream' in frame)) return frame
    const out = session.io[frame.stream]
    if (!out.write(frame.data)) await once(out, 'drain')
  }
  throw new LazarusError('runtime_failed', 'The pit ended the stream before the command did')
}

/** The command's own exit code; a sandbox that went away under it is a failure. */
export function exitOf(session: Session, end: Pick<ExecEnd, 'exit_code' | 'timed_out'>): number {
  if (end.timed_out) session.note('note: the command was killed at its timeout')
  if (end.exit_code === null) session.note('note: the sandbox went away under the command')
  return end.exit_code ?? EXIT.failed
}

/** All of stdin as text: that is what the API takes. */
export async function readStdin(session: Session): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of session.io.stdin) chunks.push(Buffer.from(chunk))
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
  } catch (error) {
    throw new LazarusError('invalid_request', 'stdin is not UTF-8 text', {
      cause: error,
      remedy: 'Encode it, for example with base64, and decode it in the cell.',
    })
  }
}
