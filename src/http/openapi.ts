import type { z } from 'zod'
import { ROUTES } from '../contract/api.ts'
import type { Access, Route } from '../contract/route.ts'
import { ERRORS, type ErrorCode } from '../kernel/errors.ts'
import { convert, type Json, namedSchemas, reference } from './openapi-schemas.ts'

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
