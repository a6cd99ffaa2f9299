import { z } from 'zod'
import { type Access, errorBody, ROUTES, type Route } from '../contract/api.ts'
import { scanReport } from '../contract/cell.ts'
import { recordedEvent } from '../contract/event.ts'
import { seal, sealRequest, verification, verifyRequest } from '../contract/home.ts'
import { hostReport, levelReport } from '../contract/host.ts'
import { cellPolicies, destroyReport, mission, missionRequest, withdrawReport } from '../contract/mission.ts'
import { declaredIsolation, effectiveIsolation, limits, policyOverride } from '../contract/policy.ts'
import {
  collection,
  execFrame,
  execRequest,
  execResult,
  exitFact,
  killRequest,
  seat,
  seatRequest,
  spawnedSeat,
} from '../contract/seat.ts'
import { ERRORS, type ErrorCode } from '../kernel/errors.ts'

type Json = Readonly<Record<string, unknown>>

/** Schemas that get a name in the document; everything else stands where it is used. */
const NAMED: Readonly<Record<string, z.ZodType>> = {
  MissionRequest: missionRequest,
  SeatRequest: seatRequest,
  ExecRequest: execRequest,
  KillRequest: killRequest,
  SealRequest: sealRequest,
  VerifyRequest: verifyRequest,
  PolicyOverride: policyOverride,
  Mission: mission,
  CellPolicies: cellPolicies,
  DestroyReport: destroyReport,
  WithdrawReport: withdrawReport,
  Seat: seat,
  SpawnedSeat: spawnedSeat,
  ExitFact: exitFact,
  ExecResult: execResult,
  ExecFrame: execFrame,
  Collection: collection,
  DeclaredIsolation: declaredIsolation,
  EffectiveIsolation: effectiveIsolation,
  Limits: limits,
  Seal: seal,
  Verification: verification,
  HostReport: hostReport,
  LevelReport: levelReport,
  ScanReport: scanReport,
  Event: recordedEvent,
  Error: errorBody,
}
const NAME_OF = new Map<unknown, string>(Object.entries(NAMED).map(([name, schema]) => [schema, name]))
const REQUESTS = new Set([
  'MissionRequest',
  'SeatRequest',
  'ExecRequest',
  'KillRequest',
  'SealRequest',
  'VerifyRequest',
  'PolicyOverride',
])

/** The OpenAPI 3.1 document of the route table. */
export function openapiDocument(version: string, routes: Readonly<Record<string, Route>> = ROUTES): Json {
  const paths: Record<string, Record<string, Json>> = {}
  for (const [id, route] of Object.entries(routes)) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(id, route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Lazarus Pit',
      version,
      description: INTRODUCTION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: [...new Set(Object.values(routes).map((route) => route.tag))].map((name) => ({ name })),
    security: [{ bearer: [] }],
    paths,
    components: { schemas: namedSchemas(), responses: errorResponses(), securitySchemes: { bearer: BEARER } },
  }
}

const INTRODUCTION =
  'Isolated mission cells for agents. The same routes answer on the unix socket `<state_dir>/api.sock` (who can open it is the ' +
  'operator), on TCP with a bearer token, and inside each cell on `/run/lazarus/cell.sock` (the socket is the identity of the seat). ' +
  'Unknown fields are refused. Every error has the form of the schema `Error`.'
const BEARER = {
  type: 'http',
  scheme: 'bearer',
  description: 'Token of the operator (`<state_dir>/operator.token`) or of a seat',
}

function operation(operationId: string, route: Route): Json {
  return {
    operationId,
    summary: route.summary,
    tags: [route.tag],
    ...(route.access.public ? { security: [] } : { description: whoMayCall(route.access) }),
    parameters: [...parameters('path', route.params), ...parameters('query', route.query)],
    ...(route.body ? { requestBody: requestBody(route.body) } : {}),
    responses: { [route.answer.status]: answer(route), ...errorsOf(route) },
  }
}

function whoMayCall(access: Access): string {
  const seats = Object.entries({
    'its own seat': access.own_seat,
    'another seat of its mission': access.other_seat,
    'its mission': access.mission,
    itself: access.caller,
  }).flatMap(([what, roles]) => (roles ? [`a seat on ${what} (${roles.join(', ')})`] : []))
  return `Callers: ${['the operator', ...seats].join('; ')}.`
}

/** Path and query values are text on the wire; what they are parsed to is their type here. */
function parameters(place: 'path' | 'query', schema: z.ZodType | undefined): Json[] {
  if (schema === undefined) return []
  const { properties = {}, required = [] } = convert(schema, 'output') as {
    properties?: Record<string, Json>
    required?: string[]
  }
  return Object.entries(properties).map(([name, property]) => {
    const { description, examples: _, ...rest } = property
    return { name, in: place, required: required.includes(name), ...(description ? { description } : {}), schema: rest }
  })
}

function requestBody(schema: z.ZodType): Json {
  const required = !schema.safeParse({}).success
  return { required, content: { 'application/json': { schema: reference(schema) ?? convert(schema, 'input') } } }
}

const STREAMS = {
  'application/x-ndjson': {
    schema: { type: 'string', description: 'One ExecFrame per line; the last has exit_code, or error' },
  },
  'text/event-stream': {
    schema: { type: 'string', description: 'Server-sent events; id is the ledger sequence, data an Event' },
  },
} as const

function answer({ answer, summary, stream }: Route): Json {
  const streams = stream ? { [stream]: STREAMS[stream] } : {}
  if (answer.kind === 'bytes') {
    return { description: answer.description, content: { [answer.media]: { schema: { type: 'string' } }, ...streams } }
  }
  const schema = reference(answer.schema) ?? convert(answer.schema, 'output')
  return { description: summary, content: { 'application/json': { schema }, ...streams } }
}

function errorsOf(route: Route): Json {
  const guarded = route.access.public ? [] : [401, 403, 404]
  const input = route.params || route.query || route.body ? [400] : []
  const refs = [...input, ...guarded].map((status) => [status, { $ref: `#/components/responses/E${status}` }])
  return { ...Object.fromEntries(refs), default: { $ref: '#/components/responses/Error' } }
}

/** One response per status of the catalogue, which lists its codes, and one that lists them all. */
function errorResponses(): Json {
  const rows = Object.entries(ERRORS) as [ErrorCode, (typeof ERRORS)[ErrorCode]][]
  const content = { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } }
  const describe = (some: typeof rows) =>
    some.map(([code, kind]) => `\`${code}\` ${kind.status}: ${kind.remedy}`).join('\n\n')
  const statuses = [...new Set(rows.map(([, kind]) => kind.status))]
  return {
    Error: { description: describe(rows), content },
    ...Object.fromEntries(
      statuses.map((status) => [
        `E${status}`,
        { description: describe(rows.filter(([, kind]) => kind.status === status)), content },
      ]),
    ),
  }
}

function namedSchemas(): Json {
  const schemas = Object.entries(NAMED).map(
    ([name, schema]) => [name, convert(schema, REQUESTS.has(name) ? 'input' : 'output')] as const,
  )
  return Object.fromEntries(schemas)
}

function reference(schema: unknown): Json | undefined {
  const name = NAME_OF.get(schema)
  return name === undefined ? undefined : { $ref: `#/components/schemas/${name}` }
}

/** JSON Schema 2020-12, the dialect of OpenAPI 3.1; named schemas inside become references. */
function convert(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...converted } = z.toJSONSchema(schema, {
    io,
    override: ({ zodSchema, jsonSchema, path }) => {
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
      const ref = path.length === 0 ? undefined : reference(zodSchema)
      if (ref === undefined) return
      for (const key of Object.keys(jsonSchema)) delete jsonSchema[key]
      Object.assign(jsonSchema, ref)
    },
  })
  return converted
}
