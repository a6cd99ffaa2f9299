import { Socket } from 'node:net'
import { Readable } from 'node:stream'

/** As much as a pipe of an ordinary user may hold. */
const LARGEST = 1024 ** 2

/**
 * Reads a pipe in the largest pieces that it has, each in memory of its own size. A socket reads 64 KiB at a time, each
 * into a block of its own: at hundreds of megabytes the garbage collector then works more than all the rest.
 */
export function readPieces(fd: number): Readable {
  const pieces = new Readable({
    highWaterMark: LARGEST,
    read: () => void socket.resume(),
    destroy(error, done) {
      socket.destroy()
      done(error)
    },
  })
  const take = (bytes: number, buffer: Uint8Array): boolean => pieces.push(Buffer.from(buffer.subarray(0, bytes)))
  const onread = { buffer: Buffer.allocUnsafeSlow(LARGEST), callback: take }
  const socket = new Socket({ fd, readable: true, writable: false, onread })
  socket.once('end', () => pieces.push(null))
  socket.once('error', (error) => pieces.destroy(error))
  return pieces
}
