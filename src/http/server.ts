import { chmod, mkdir } from 'node:fs/promises'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { LazarusError } from '../kernel/errors.ts'
import { Connections } from './connections.ts'
import { createFastify } from './fastify.ts'
import type { Door } from './identity.ts'
import { OpenCalls } from './open-calls.ts'
import { DEFAULT_LIMITS, type Listening, type ServerDeps } from './options.ts'
import { hostsOf } from './same-origin.ts'
import { listenUnix, type UnixListener } from './unix-socket.ts'

export const OPERATOR_SOCKET = 'api.sock'
const MAX_CONNECTIONS = 2048

export interface PitServer {
  /** Opens TCP, the operator's socket and the doors of the cells. The lock on the state directory is held by now. */
  listen(): Promise<Listening>
  /** Ends streams, then connections; removes the sockets. */
  close(): Promise<void>
}

/**
 * One HTTP server behind every door. Only TCP connections are its own; unix sockets hand theirs over with a mark,
 * so a connection without a mark is the one that has to show a token.
 */
export async function createServer(deps: ServerDeps): Promise<PitServer> {
  const limits = { ...DEFAULT_LIMITS, ...deps.limits }
  const doors = new WeakMap<Socket, Door>()
  const calls = new OpenCalls()
  const connections = new Connections()
  const allowed = { hosts: new Set<string>() as ReadonlySet<string> }
  const fastify = await createFastify({
    ...deps,
    limits,
    calls,
    connections,
    allowed,
    doorOf: (socket) => doors.get(socket) ?? { kind: 'tcp' },
  })
  fastify.server.maxConnections = MAX_CONNECTIONS
  fastify.server.on('connection', (socket) => connections.add(socket))
  const deliver = (socket: Socket, door: Door) => {
    doors.set(socket, door)
    fastify.server.emit('connection', socket)
  }
  let operator: UnixListener | undefined
  return {
    async listen() {
      const tcp = await listenTcp(fastify, deps.listen)
      allowed.hosts = hostsOf(tcp.host, tcp.port)
      deps.cellDoors.attach((socket, name) => deliver(socket, { kind: 'seat', name }))
      const socket = join(deps.state_dir, OPERATOR_SOCKET)
      operator = await listenOperator(deps, socket, (connection) => deliver(connection, { kind: 'operator' }))
      return { socket, ...tcp }
    },
    async close() {
      calls.end(new LazarusError('shutting_down', 'The pit is shutting down'))
      const deadline = setTimeout(() => connections.closeAll(), limits.close_ms)
      const closed = Promise.all([operator?.close(), deps.cellDoors.closeAll(), fastify.close()])
      connections.closeIdle()
      await closed
      clearTimeout(deadline)
    },
  }
}

async function listenTcp(fastify: FastifyInstance, listen: string): Promise<Omit<Listening, 'socket'>> {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(listen) ?? []
  try {
    // For "localhost" fastify would open a second server, for IPv6, beside the one that every door shares.
    const address = host === 'localhost' ? '127.0.0.1' : host.replace(/^\[(.*)\]$/, '$1')
    await fastify.listen({ host: address, port: Number(port) })
  } catch (error) {
    throw new LazarusError('conflict', `Cannot listen on ${listen}: ${(error as Error).message}`, {
      cause: error,
      remedy:
        'Set another address in the configuration (listen) or with LAZARUS_LISTEN=host:port; port 0 takes any free one.',
    })
  }
  const chosen = (fastify.server.address() as AddressInfo).port
  return { host, port: chosen, url: `http://${host}:${chosen}` }
}

async function listenOperator(
  deps: ServerDeps,
  path: string,
  onConnection: (socket: Socket) => void,
): Promise<UnixListener> {
  await mkdir(deps.state_dir, { recursive: true, mode: 0o700 })
  await chmod(deps.state_dir, 0o700)
  const temporary = deps.entropy.uuid()
  return listenUnix({
    path,
    staging: deps.state_dir,
    temporary,
    mode: 0o600,
    max_connections: MAX_CONNECTIONS,
    onConnection,
  })
}
