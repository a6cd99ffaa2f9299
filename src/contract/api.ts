import { z } from 'zod'
import { scanReport } from './cell.ts'
import { recordedEvent } from './event.ts'
import { seal, sealRequest, verification, verifyRequest } from './home.ts'
import { hostReport } from './host.ts'
import { agentId, missionId, type Role } from './ids.ts'
import { destroyReport, mission, missionRequest, withdrawReport } from './mission.ts'
import { collection, execRequest, execResult, killRequest, layerUsage, seat, seatRequest, spawnedSeat } from './seat.ts'

/** Who may call a route: roles by where the caller sits. The operator may call every route. */
export interface Access {
  readonly public?: true
  /** The caller's own seat is the one that the route names. */
  readonly own_seat?: readonly Role[]
  /** The route names another seat of the caller's mission. */
  readonly other_seat?: readonly Role[]
  /** The route names the caller's mission. */
  readonly mission?: readonly Role[]
  /** The route names nothing: it is about the caller's own seat. */
  readonly caller?: readonly Role[]
}

/** What comes back: JSON by schema, or bytes of a media type. */
export type Answer =
  | { readonly kind: 'json'; readonly status: 200 | 201; readonly schema: z.ZodType }
  | { readonly kind: 'bytes'; readonly status: 200; readonly media: string; readonly description: string }

export interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly summary: string
  readonly tag: string
  readonly access: Access
  readonly params?: z.ZodType
  readonly query?: z.ZodType
  readonly body?: z.ZodType
  readonly answer: Answer
  /** The stream that the route gives instead when the Accept header asks for it. */
  readonly stream?: 'application/x-ndjson' | 'text/event-stream'
}

/** Generic, so that http/ can hold each handler to the schema of its answer. */
const json = <T extends z.ZodType>(schema: T, status: 200 | 201 = 200) => ({ kind: 'json' as const, status, schema })
const bytes = (media: string, description: string) => ({
  kind: 'bytes' as const,
  status: 200 as const,
  media,
  description,
})

const EVERY_ROLE = ['lead', 'write', 'read', 'audit'] as const
const OPERATOR: Access = {}
const PUBLIC: Access = { public: true }

const flag = z
  .enum(['true', 'false'])
  .transform((v) => v === 'true')
  .pipe(z.boolean())
const count = (max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .pipe(z.int().min(0).max(max))

export const missionParams = z.strictObject({ mission_id: missionId })
export const seatParams = z.strictObject({ mission_id: missionId, agent_id: agentId })
export const pageQuery = z.strictObject({
  limit: count(1000).optional().meta({ description: 'At most so many; default 100' }),
  after: z.string().max(256).optional().meta({ description: 'Id of the last one of the page before' }),
})
export const eventsQuery = z.strictObject({
  mission_id: missionId.optional(),
  after: count(Number.MAX_SAFE_INTEGER)
    .optional()
    .meta({ description: 'Sequence to go on from; Last-Event-ID does the same' }),
  types: z.string().max(1024).optional().meta({ description: 'Comma-separated event types' }),
  limit: count(10_000).optional(),
  follow: flag.optional().meta({ description: 'Stream as server-sent events' }),
})
export const logsQuery = z.strictObject({
  follow: flag.optional(),
  tail: count(1_000_000).optional().meta({ description: 'Lines from the end' }),
})
export const destroyQuery = z.strictObject({
  force: flag.optional().meta({ description: 'Also when a seat holds uncollected work' }),
})

const list = <T extends z.ZodType>(name: string, item: T) =>
  z.strictObject({
    [name]: z.array(item),
    next: z.string().nullable().meta({ description: 'Give it as ?after for the next page' }),
  })

/** Every route, with who may call it. http/ must have a handler for each (the compiler counts), OpenAPI is made from it. */
export const ROUTES = {
  healthz: {
    method: 'GET',
    path: '/healthz',
    tag: 'pit',
    summary: 'Liveness',
    access: PUBLIC,
    answer: json(z.strictObject({ status: z.literal('ok') })),
  },
  metrics: {
    method: 'GET',
    path: '/metrics',
    tag: 'pit',
    summary: 'Prometheus metrics',
    access: OPERATOR,
    answer: bytes('text/plain', 'Prometheus text format'),
  },
  openapi: {
    method: 'GET',
    path: '/openapi.json',
    tag: 'pit',
    summary: 'This document',
    access: PUBLIC,
    answer: json(z.record(z.string(), z.unknown())),
  },
  host: {
    method: 'GET',
    path: '/v1/host',
    tag: 'pit',
    summary: 'What each level can promise on this host',
    access: OPERATOR,
    query: z.strictObject({ refresh: flag.optional().meta({ description: 'Probe again' }) }),
    answer: json(hostReport),
  },
  self: {
    method: 'GET',
    path: '/v1/self',
    tag: 'seats',
    summary: 'The seat that asks',
    access: { caller: EVERY_ROLE },
    answer: json(seat),
  },

  mission_create: {
    method: 'POST',
    path: '/v1/missions',
    tag: 'missions',
    summary: 'Open a mission',
    access: OPERATOR,
    body: missionRequest,
    answer: json(mission, 201),
  },
  mission_list: {
    method: 'GET',
    path: '/v1/missions',
    tag: 'missions',
    summary: 'List missions',
    access: OPERATOR,
    query: pageQuery.extend({ all: flag.optional().meta({ description: 'Also destroyed and archived ones' }) }),
    answer: json(list('missions', mission)),
  },
  mission_inspect: {
    method: 'GET',
    path: '/v1/missions/:mission_id',
    tag: 'missions',
    summary: 'One mission with its seats',
    access: { mission: EVERY_ROLE },
    params: missionParams,
    answer: json(mission),
  },
  mission_pause: {
    method: 'POST',
    path: '/v1/missions/:mission_id/pause',
    tag: 'missions',
    summary: 'Freeze the seats',
    access: { mission: ['lead'] },
    params: missionParams,
    answer: json(mission),
  },
  mission_resume: {
    method: 'POST',
    path: '/v1/missions/:mission_id/resume',
    tag: 'missions',
    summary: 'Go on after a pause',
    access: { mission: ['lead'] },
    params: missionParams,
    answer: json(mission),
  },
  mission_complete: {
    method: 'POST',
    path: '/v1/missions/:mission_id/complete',
    tag: 'missions',
    summary: 'Declare the mission done',
    access: { mission: ['lead'] },
    params: missionParams,
    answer: json(mission),
  },
  mission_archive: {
    method: 'POST',
    path: '/v1/missions/:mission_id/archive',
    tag: 'missions',
    summary: 'Collect, write the portable record, release every sandbox',
    access: OPERATOR,
    params: missionParams,
    answer: json(mission),
  },
  mission_destroy: {
    method: 'DELETE',
    path: '/v1/missions/:mission_id',
    tag: 'missions',
    summary: 'End everything, with the proof that homes are untouched',
    access: OPERATOR,
    params: missionParams,
    query: destroyQuery,
    answer: json(destroyReport),
  },

  seat_add: {
    method: 'POST',
    path: '/v1/missions/:mission_id/seats',
    tag: 'seats',
    summary: 'Seat an agent: spawn its sandbox',
    access: OPERATOR,
    params: missionParams,
    body: seatRequest,
    answer: json(spawnedSeat, 201),
  },
  seat_list: {
    method: 'GET',
    path: '/v1/missions/:mission_id/seats',
    tag: 'seats',
    summary: 'List seats',
    access: { mission: EVERY_ROLE },
    params: missionParams,
    query: pageQuery,
    answer: json(list('seats', seat)),
  },
  seat_read: {
    method: 'GET',
    path: '/v1/missions/:mission_id/seats/:agent_id',
    tag: 'seats',
    summary: 'One seat',
    access: { own_seat: EVERY_ROLE, other_seat: EVERY_ROLE },
    params: seatParams,
    answer: json(seat),
  },
  seat_withdraw: {
    method: 'DELETE',
    path: '/v1/missions/:mission_id/seats/:agent_id',
    tag: 'seats',
    summary: 'Withdraw an agent; 409 when it holds uncollected work',
    access: { own_seat: EVERY_ROLE },
    params: seatParams,
    query: destroyQuery,
    answer: json(withdrawReport),
  },
  seat_exec: {
    method: 'POST',
    path: '/v1/missions/:mission_id/seats/:agent_id/exec',
    tag: 'seats',
    summary: 'Run a command in the sandbox of the seat',
    access: { own_seat: ['lead', 'write', 'read'] },
    params: seatParams,
    body: execRequest,
    answer: json(execResult),
    stream: 'application/x-ndjson',
  },
  seat_logs: {
    method: 'GET',
    path: '/v1/missions/:mission_id/seats/:agent_id/logs',
    tag: 'seats',
    summary: 'Output of the agent',
    access: { own_seat: EVERY_ROLE, other_seat: ['lead', 'audit'] },
    params: seatParams,
    query: logsQuery,
    answer: bytes('text/plain', 'stdout and stderr of the agent as it came'),
  },
  seat_collect: {
    method: 'POST',
    path: '/v1/missions/:mission_id/seats/:agent_id/collect',
    tag: 'seats',
    summary: 'Bring the commits into the trusted repository',
    access: { own_seat: ['lead', 'write'] },
    params: seatParams,
    answer: json(collection),
  },
  seat_diff: {
    method: 'GET',
    path: '/v1/missions/:mission_id/seats/:agent_id/diff',
    tag: 'seats',
    summary: 'Committed and uncommitted work against the base',
    access: { own_seat: EVERY_ROLE, other_seat: EVERY_ROLE },
    params: seatParams,
    answer: bytes('text/x-diff', 'Unified diff, bounded; X-Truncated: true when it was cut'),
  },
  seat_usage: {
    method: 'GET',
    path: '/v1/missions/:mission_id/seats/:agent_id/usage',
    tag: 'seats',
    summary: 'What the layer and the in-cell home occupy',
    access: { own_seat: EVERY_ROLE, other_seat: ['lead'] },
    params: seatParams,
    answer: json(layerUsage),
  },
  seat_kill: {
    method: 'POST',
    path: '/v1/missions/:mission_id/seats/:agent_id/kill',
    tag: 'seats',
    summary: 'Signal the agent',
    access: { other_seat: ['lead'] },
    params: seatParams,
    body: killRequest,
    answer: json(seat),
  },

  homes_seal: {
    method: 'POST',
    path: '/v1/homes/seal',
    tag: 'homes',
    summary: 'Record every entry of the homes',
    access: OPERATOR,
    body: sealRequest,
    answer: json(seal, 201),
  },
  homes_verify: {
    method: 'POST',
    path: '/v1/homes/verify',
    tag: 'homes',
    summary: 'Compare the homes with a seal',
    access: OPERATOR,
    body: verifyRequest,
    answer: json(verification),
  },

  cells_scan: {
    method: 'GET',
    path: '/v1/cells',
    tag: 'cells',
    summary: 'Health of every cell directory under the missions path',
    access: OPERATOR,
    answer: json(scanReport),
  },
  cell_init: {
    method: 'POST',
    path: '/v1/cells/:mission_id',
    tag: 'cells',
    summary: 'Lay out a cell directory',
    access: OPERATOR,
    params: missionParams,
    answer: json(mission, 201),
  },
  events: {
    method: 'GET',
    path: '/v1/events',
    tag: 'events',
    summary: 'The ledger, as a list or a resumable stream',
    access: { mission: EVERY_ROLE },
    query: eventsQuery,
    answer: json(list('events', recordedEvent)),
    stream: 'text/event-stream',
  },
} as const satisfies Record<string, Route>
export type RouteId = keyof typeof ROUTES

export const errorBody = z.strictObject({
  error: z.strictObject({
    code: z.string(),
    message: z.string(),
    remedy: z.string(),
    retryable: z.boolean(),
    details: z.record(z.string(), z.unknown()).optional(),
  }),
})
export type ErrorBody = z.infer<typeof errorBody>
