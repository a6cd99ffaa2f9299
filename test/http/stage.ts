import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Application, Principal } from '../../src/app/application.ts'
import type { RecordedEvent } from '../../src/contract/event.ts'
import type { SandboxName } from '../../src/contract/ids.ts'
import type { Mission } from '../../src/contract/mission.ts'
import type { PitStatus } from '../../src/contract/pit.ts'
import type { Seat } from '../../src/contract/seat.ts'
import { UnixCellDoors } from '../../src/http/cell-door.ts'
import type { HttpLimits, Listening } from '../../src/http/options.ts'
import { createServer } from '../../src/http/server.ts'
import { LazarusError } from '../../src/kernel/errors.ts'
import type { Log, LogFields } from '../../src/kernel/log.ts'

export const MISSION = '0b9f2c52-6f0e-4d0a-9a55-0c2e6f1b7a10'
export const OTHER_MISSION = '7d1b1a44-93a5-4a2f-8f77-51c0f4f7f0a2'
export const OPERATOR_TOKEN = 'operator-token-operator-token'
export const AT = '2026-01-02T03:04:05.678Z'

const declared = {
  namespaces: ['user' as const],
  no_new_privs: true,
  capabilities_dropped: true,
  seccomp: true,
  nested_user_namespaces: false,
  distinct_host_uid: false,
  network: 'none' as const,
  limits: {},
}

export const seatOf = (agent_id: string, fields: Partial<Seat> = {}): Seat => ({
  mission_id: MISSION,
  agent_id,
  role: 'write',
  status: 'active',
  generation: 1,
  command: null,
  isolation: { level: 'level_2', declared, effective: null },
  branch: `mission/${agent_id}`,
  requested_at: AT,
  spawned_at: AT,
  exit: null,
  resumed_from: null,
  quarantine: null,
  collected: null,
  error: null,
  ...fields,
})

export const missionOf = (fields: Partial<Mission> = {}): Mission => ({
  mission_id: MISSION,
  mission_name: 'mend',
  status: 'active',
  isolation_level: 'level_2',
  base: { repo: '/srv/repo.git', repository_key: 'k', ref: 'main', commit: 'c0ffee' },
  workspace: 'overlay',
  max_agents: 10,
  timeout: 3600,
  policies: {
    auto_revive: 'yes',
    revive_timeout: 300,
    substitute_agents: [],
    max_retries: 3,
    retry_window: 600,
    hung_after: null,
    handoff_allowed: true,
    handoff_approval: 'manual',
    checkpoint_required: false,
    checkpoint_interval: 300,
    on_success: 'idle',
  },
  created_at: AT,
  created_by: 'operator',
  directory: `/var/missions/${MISSION}`,
  seats: [],
  tasks: [],
  health: { seats: 0, active: 0, dead: 0, reviving: 0, quarantined: 0, failed: 0 },
  events: 1,
  ...fields,
})

export const eventOf = (seq: number, mission_id = MISSION): RecordedEvent => ({
  seq,
  at: AT,
  mission_id,
  version: seq,
  agent_id: null,
  type: 'mission_paused',
  data: {},
})

export const STATUS: PitStatus = {
  status: 'ok',
  pid: 4711,
  version: '9.9.9',
  started_at: AT,
  uptime_s: 300,
  socket: '/run/state/api.sock',
  url: 'http://127.0.0.1:4878',
  state_dir: '/run/state',
  missions_path: '/var/missions',
  config: '/home/me/.lazarus/config.json',
  recovered: true,
  missions: { active: 1 },
  seats: { active: 2, dead: 1 },
  agents: { healthy: 2 },
  revivals: { waiting: 1, awaiting_approval: 1 },
  last_sweep: AT,
  levels: [{ level: 'level_1', status: 'ready', reason: null }],
}

const notHere = async (): Promise<never> => {
  throw new Error('this test does not call it')
}

export const seatToken = (agent_id: string) => `token-of-${agent_id}`

/** A hand-made application: a mission with the seats given, and whatever a test puts in place of the rest. */
export function applicationOf(seats: readonly Seat[], over: Partial<Application> = {}): Application {
  const mission = missionOf({ seats: [...seats] })
  const readSeat = (mission_id: string, agent_id: string): Seat => {
    const seat = seats.find((one) => one.mission_id === mission_id && one.agent_id === agent_id)
    if (seat) return seat
    throw new LazarusError('seat_not_found', `Mission ${mission_id} has no seat ${agent_id}`)
  }
  const inspectMission = (id: string): Mission => {
    if (id === MISSION) return mission
    throw new LazarusError('mission_not_found', `There is no mission ${id}`)
  }
  return {
    createMission: async (request) =>
      missionOf({ mission_name: request.mission_name, isolation_level: request.isolation_level }),
    listMissions: () => [mission],
    inspectMission,
    seatUsage: notHere,
    pauseMission: async (id) => inspectMission(id),
    resumeMission: async (id) => inspectMission(id),
    completeMission: async (id) => inspectMission(id),
    archiveMission: async (id) => inspectMission(id),
    destroyMission: notHere,
    addSeat: notHere,
    listSeats: () => seats,
    readSeat,
    withdrawSeat: notHere,
    execStream: notHere,
    execWhole: notHere,
    async *logs() {},
    collect: notHere,
    diff: notHere,
    checkpointSeat: notHere,
    listCheckpoints: () => [],
    verifyCheckpoint: notHere,
    removeCheckpoint: notHere,
    pruneCheckpoints: notHere,
    forkCheckpoint: notHere,
    restoreSeat: notHere,
    reviveSeat: notHere,
    listRevivals: () => [],
    approveRevival: notHere,
    declineRevival: notHere,
    listIncidents: () => [],
    heartbeat: notHere,
    health: () => ({ timestamp: 0, total_agents: 0, healthy: 0, degraded: 0, unhealthy: 0, agents: {} }),
    agentHealth: notHere,
    heartbeatsTaken: () => 0,
    killSeat: async (mission_id, agent_id) => readSeat(mission_id, agent_id),
    sealHomes: notHere,
    verifyHomes: notHere,
    scan: notHere,
    initCell: notHere,
    host: notHere,
    status: () => STATUS,
    readEvents: () => [],
    async *followEvents() {},
    identify: (token) => identifyBy(seats, token),
    onTokenDeath: () => ({ [Symbol.dispose]() {} }),
    ...over,
  }
}

function identifyBy(seats: readonly Seat[], token: string): Principal | null {
  if (token === OPERATOR_TOKEN) return { kind: 'operator', via: 'token' }
  const seat = seats.find((one) => token === seatToken(one.agent_id))
  return seat ? { kind: 'seat', name: nameOf(seat), role: seat.role, via: 'token' } : null
}

export const nameOf = ({ mission_id, agent_id, generation }: Seat): SandboxName => ({
  mission_id,
  agent_id,
  generation,
})

export interface LogLine extends LogFields {
  readonly level: string
  readonly message: string
}

function memoryLog(lines: LogLine[]): Log {
  const at = (level: string) => (fields: LogFields, message: string) => void lines.push({ level, message, ...fields })
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => log }
  return log
}

export interface Stage extends AsyncDisposable {
  readonly at: Listening
  readonly doors: UnixCellDoors
  readonly log: readonly LogLine[]
  readonly state_dir: string
  close(): Promise<void>
}

export interface StageOptions {
  readonly limits?: Partial<HttpLimits>
  readonly listen?: string
  readonly state_dir?: string
}

/** The real server over an application, in a directory of its own. */
export async function raise(app: Application, options: StageOptions = {}): Promise<Stage> {
  const parent = await mkdtemp(join(tmpdir(), 'lazarus-http-'))
  const { limits = {}, listen = '127.0.0.1:0', state_dir = join(parent, 'state') } = options
  const entropy = { uuid: randomUUID, token: (bytes: number) => randomBytes(bytes).toString('base64url') }
  const clock = { now: () => Date.now(), monotonic: () => performance.now() }
  const lines: LogLine[] = []
  const doors = new UnixCellDoors({ directory: join(state_dir, 'doors'), entropy })
  const server = await createServer({
    app,
    cellDoors: doors,
    log: memoryLog(lines),
    clock,
    entropy,
    state_dir,
    listen,
    version: '0.0.0-test',
    limits,
  })
  const at = await server.listen().catch(async (error) => {
    await server.close()
    await rm(parent, { recursive: true, force: true })
    throw error
  })
  return {
    at,
    doors,
    log: lines,
    state_dir,
    close: () => server.close(),
    async [Symbol.asyncDispose]() {
      await server.close()
      await rm(parent, { recursive: true, force: true })
    },
  }
}

export interface Sent {
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: unknown
  /** As it is, without JSON around it. */
  readonly raw?: string
  readonly socketPath?: string
}

export interface Answered {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever came
  readonly json: any
}

/** One request on a connection of its own; `path` goes out as it is, without the normalisation of fetch. */
export async function send(target: Listening, path: string, sent: Sent = {}): Promise<Answered> {
  const message = await open(target, path, sent)
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString()
  const isJson = message.headers['content-type']?.startsWith('application/json')
  return {
    status: message.statusCode ?? 0,
    headers: message.headers,
    text,
    json: isJson ? JSON.parse(text) : undefined,
  }
}

/** The same, as soon as the head of the answer is there. */
export function open(
  target: Listening,
  path: string,
  { method = 'GET', headers = {}, body, raw, socketPath }: Sent = {},
): Promise<IncomingMessage> {
  const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body))
  const type = payload === undefined ? {} : { 'content-type': 'application/json' }
  const where = socketPath === undefined ? { host: '127.0.0.1', port: target.port } : { socketPath }
  return new Promise((resolve, reject) => {
    const request = httpRequest({ ...where, path, method, agent: false, headers: { ...type, ...headers } }, resolve)
    request.on('error', reject)
    request.end(payload)
  })
}

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
export const OPERATOR = bearer(OPERATOR_TOKEN)
