import { z } from 'zod'
import { scanReport } from './cell.ts'
import { recordedEvent } from './event.ts'
import { seal, sealRequest, verification, verifyRequest } from './home.ts'
import { hostReport } from './host.ts'
import { mission } from './mission.ts'
import { pitStatus } from './pit.ts'
import {
  bytes,
  EVERY_ROLE,
  eventsQuery,
  flag,
  json,
  list,
  missionParams,
  OPERATOR,
  PUBLIC,
  type Route,
} from './route.ts'
import { CHECKPOINT_ROUTES } from './routes-checkpoints.ts'
import { HEALTH_ROUTES } from './routes-health.ts'
import { MISSION_ROUTES } from './routes-missions.ts'
import { SEAT_ROUTES } from './routes-seats.ts'

/** Every route, with who may call it. http/ must have a handler for each (the compiler counts), OpenAPI is made from it. */
export const ROUTES = {
  ...MISSION_ROUTES,
  ...SEAT_ROUTES,
  ...CHECKPOINT_ROUTES,
  ...HEALTH_ROUTES,
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
  status: {
    method: 'GET',
    path: '/v1/status',
    tag: 'pit',
    summary: 'The running pit: process, missions, seats, agents, revivals, levels; never waits for a probe',
    access: OPERATOR,
    answer: json(pitStatus),
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
