import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { LazarusError } from '../kernel/errors.ts'
import { errorReply } from './error-reply.ts'

/** Answers what never became a request, in the shape of every other error, and closes. */
export function refuseUnreadable(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const { status, error: told } = unreadable(error.code)
  const { body } = errorReply(told, '')
  const text = JSON.stringify(body)
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(text)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`, () => socket.destroy())
}

/** Here HTTP has more exact statuses than the catalogue. */
function unreadable(code: string | undefined): { readonly status: number; readonly error: LazarusError } {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return { status: 408, error: new LazarusError('timed_out', 'The request did not arrive in time') }
  if (code === 'HPE_HEADER_OVERFLOW')
    return { status: 431, error: new LazarusError('invalid_request', 'The head of the request is too large') }
  return { status: 400, error: new LazarusError('invalid_request', 'This is not an HTTP request') }
}
