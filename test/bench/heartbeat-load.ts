import { connect, type Socket } from 'node:net'

export interface Load {
  readonly port: number
  readonly token: string
  readonly agents: number
  readonly connections: number
}

const METADATA = { session: 'b7e2c5d0', task: 'mend the roof' }

/** The request of one agent, as bytes. Each agent says what agents say: which session it is in. */
function requestOf({ port, token }: Load, agent: number): string {
  const body = JSON.stringify({ metadata: METADATA })
  return [
    `POST /heartbeat/agent-${agent} HTTP/1.1`,
    `host: 127.0.0.1:${port}`,
    `authorization: Bearer ${token}`,
    'content-type: application/json',
    `content-length: ${body.length}`,
    '',
    body,
  ].join('\r\n')
}

/**
 * Sends heartbeats for so long: on each connection one after the other, the next agent's when the last is answered, as
 * lean as can be, because the load shares the processors with who is measured. Resolves to heartbeats per second.
 */
export async function heartbeatsPerSecond(load: Load, ms: number): Promise<number> {
  const requests = Array.from({ length: load.agents }, (_, agent) => requestOf(load, agent))
  const began = performance.now()
  const until = began + ms
  const counts = await Promise.all(
    Array.from({ length: load.connections }, (_, i) => beatUntil(load, requests, (i * 7919) % load.agents, until)),
  )
  const answered = counts.reduce((a, b) => a + b, 0)
  return (answered / (performance.now() - began)) * 1000
}

function beatUntil({ port }: Load, requests: readonly string[], first: number, until: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let count = 0
    let text = ''
    const send = () => socket.write(requests[(first + count) % requests.length]!)
    socket.setEncoding('latin1')
    socket.on('connect', send)
    socket.on('error', reject)
    socket.on('data', (chunk: string) => {
      text += chunk
      if (!isWhole(text)) return
      if (!text.startsWith('HTTP/1.1 200 ')) return void socket.destroy(new Error(`answered: ${text.slice(0, 500)}`))
      text = ''
      count += 1
      if (performance.now() < until) return void send()
      socket.end()
      resolve(count)
    })
  })
}

function isWhole(text: string): boolean {
  const head = text.indexOf('\r\n\r\n')
  if (head < 0) return false
  return text.length >= head + 4 + Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
}
