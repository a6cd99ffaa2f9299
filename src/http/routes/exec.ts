import { LazarusError } from '../../kernel/errors.ts'
import { errorReply, visibleError } from '../error-reply.ts'
import { type SomeHandlers, StreamReply } from '../handler.ts'

const NDJSON = 'application/x-ndjson'
const line = (frame: unknown): string => `${JSON.stringify(frame)}\n`

export const execHandlers: SomeHandlers<'seat_exec'> = {
  seat_exec: async ({ app, params: { mission_id, agent_id }, body, abort, wants_stream, request_id }) => {
    if (!wants_stream) return app.execWhole(mission_id, agent_id, body, abort)
    return new StreamReply(
      NDJSON,
      async (write) => {
        // Each stream has its own decoder: a character may be cut between two chunks of one stream.
        const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() }
        const frame = (stream: 'stdout' | 'stderr', data: string) =>
          data === '' ? undefined : write(line({ stream, data }))
        const end = await app.execStream(
          mission_id,
          agent_id,
          body,
          async (stream, data) => frame(stream, decoders[stream].decode(data, { stream: true })),
          abort,
        )
        await frame('stdout', decoders.stdout.decode())
        await frame('stderr', decoders.stderr.decode())
        const { exit_code, signal, timed_out, duration_ms } = end
        await write(line({ exit_code, signal, timed_out, duration_ms }))
      },
      (error) => line(errorReply(stopped(abort) ?? visibleError(error), request_id).body),
    )
  },
}

const stopped = (abort: AbortSignal): LazarusError | undefined =>
  abort.aborted ? new LazarusError('shutting_down', 'The pit is shutting down; the command was ended') : undefined
