import { chmodSync, closeSync, openSync, renameSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'

export interface UnixListener {
  /** Takes no more connections, removes the socket, resolves when the last connection has ended. */
  close(): Promise<void>
  /** The same, but ends the connections. */
  end(): Promise<void>
}

export interface UnixListenOptions {
  /** Any length: a socket address holds 108 bytes, so it is bound through the directory's descriptor. */
  readonly path: string
  /** An existing directory of the same file system that only the operator may enter. */
  readonly staging: string
  /** Unique: the runtime deletes this name in `staging` when the server closes. */
  readonly temporary: string
  readonly mode: number
  readonly max_connections: number
  readonly onConnection: (socket: Socket) => void
}

/** Listens, and puts the socket at its path ready made: with its mode, and over a stale one of a dead pit. */
export async function listenUnix(options: UnixListenOptions): Promise<UnixListener> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    options.onConnection(socket)
  })
  server.maxConnections = options.max_connections
  const directory = openSync(options.staging, 'r')
  try {
    const bound = join(`/proc/self/fd/${directory}`, options.temporary)
    await listening(server, bound)
    chmodSync(bound, options.mode)
    renameSync(bound, options.path)
  } catch (error) {
    server.close()
    throw error
  } finally {
    closeSync(directory)
  }
  const close = () => closed(server, options.path)
  return {
    close,
    end() {
      for (const socket of sockets) socket.destroy()
      return close()
    },
  }
}

async function closed(server: Server, path: string): Promise<void> {
  const done = new Promise<void>((resolve) => server.close(() => resolve()))
  await rm(path, { force: true })
  await done
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ path, backlog: 511 }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
