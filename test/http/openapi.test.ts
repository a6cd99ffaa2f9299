import { expect, test } from 'vitest'
import { ROUTES } from '../../src/contract/api.ts'
import { openapiDocument } from '../../src/http/openapi.ts'
import { ERRORS } from '../../src/kernel/errors.ts'
import { applicationOf, raise, send } from './stage.ts'

type Json = Record<string, unknown>
// biome-ignore lint/suspicious/noExplicitAny: a test looks into the document
const document = openapiDocument('1.2.3') as any
const routes = Object.entries(ROUTES)
const pathOf = (path: string) => path.replaceAll(/:(\w+)/g, '{$1}')

/** Every object in the document, with the way to it. */
function* nodes(value: unknown, way = '#'): Generator<[string, Json]> {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) yield [way, value as Json]
  for (const [key, child] of Object.entries(value))
    yield* nodes(child, `${way}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`)
}

test('it is OpenAPI 3.1 with the version of this program', () => {
  expect(document).toMatchObject({ openapi: '3.1.0', info: { title: 'Lazarus Pit', version: '1.2.3' } })
  expect(document.components.securitySchemes.bearer).toMatchObject({ type: 'http', scheme: 'bearer' })
})

test.each(routes)('%s stands in it', (id, route) => {
  const operation = document.paths[pathOf(route.path)][route.method.toLowerCase()]
  expect(operation).toMatchObject({ operationId: id, summary: route.summary, tags: [route.tag] })
  const inPath = operation.parameters.filter((one: Json) => one.in === 'path')
  expect(inPath.map((one: Json) => one.name)).toEqual([...route.path.matchAll(/:(\w+)/g)].map(([, name]) => name))
  expect(inPath.every((one: Json) => one.required)).toBe(true)
  expect('requestBody' in operation).toBe('body' in route)
  const answer = operation.responses[route.answer.status]
  const media = route.answer.kind === 'bytes' ? route.answer.media : 'application/json'
  expect(Object.keys(answer.content)).toEqual([media, ...('stream' in route ? [route.stream] : [])])
  expect(operation.responses.default).toEqual({ $ref: '#/components/responses/Error' })
  expect(operation.security).toEqual('public' in route.access ? [] : undefined)
})

test('it has no other operation', () => {
  const operations = Object.values<Json>(document.paths).flatMap((path) => Object.keys(path))
  expect(operations.length).toBe(routes.length)
})

test('every reference leads somewhere, every object schema refuses unknown fields or says why not', () => {
  const all = new Map(nodes(document))
  for (const [way, node] of all) {
    if (typeof node.$ref === 'string') expect(all.has(node.$ref), `${way} → ${node.$ref}`).toBe(true)
    if (node.type === 'object' && node.properties !== undefined && way !== '#/components/schemas/Event') {
      expect(node.additionalProperties, way).toBe(false)
    }
  }
})

test('it holds no JSON Schema that an OpenAPI 3.1 reader does not know', () => {
  for (const [way, node] of nodes(document))
    expect(
      Object.keys(node).filter((key) => key === '$schema' || key === '$defs'),
      way,
    ).toEqual([])
})

test('every code of the catalogue is listed under its status, with its remedy', () => {
  for (const [code, kind] of Object.entries(ERRORS)) {
    for (const name of ['Error', `E${kind.status}`]) {
      expect(document.components.responses[name].description, name).toContain(
        `\`${code}\` ${kind.status}: ${kind.remedy}`,
      )
    }
  }
})

test('it is what the server serves, and the page shows it from this server alone', async () => {
  await using stage = await raise(applicationOf([]))
  const served = await send(stage.at, '/openapi.json')
  expect(served.json).toEqual(JSON.parse(JSON.stringify(openapiDocument('0.0.0-test'))))
  const page = await send(stage.at, '/docs/')
  expect(page.status).toBe(200)
  const policy = String(page.headers['content-security-policy'])
  expect(policy).toContain("default-src 'self'")
  expect(policy).not.toMatch(/unsafe-eval|https?:\/\/(?!validator)/)
  expect(policy.match(/script-src[^;]*/)?.[0]).not.toContain('unsafe-inline')
  for (const [, source] of page.text.matchAll(/(?:src|href)="([^"]+)"/g)) {
    expect(source).not.toMatch(/^(https?:)?\/\//)
    const path = new URL(source!, `${stage.at.url}/docs/`).pathname
    expect((await send(stage.at, path)).status, source).toBe(200)
  }
  expect((await send(stage.at, '/docs/json')).json.openapi).toBe('3.1.0')
})

/** What the contract promises for this issue: method, path, and the fields of the body. */
const PROMISED: [method: string, path: string, body?: string, status?: number][] = [
  ['get', '/healthz'],
  ['get', '/metrics'],
  ['get', '/openapi.json'],
  ['get', '/v1/host'],
  ['post', '/v1/missions', 'mission_name isolation_level repo ref workspace max_agents timeout policies policy', 201],
  ['get', '/v1/missions'],
  ['get', '/v1/missions/{mission_id}'],
  ['post', '/v1/missions/{mission_id}/pause'],
  ['post', '/v1/missions/{mission_id}/resume'],
  ['post', '/v1/missions/{mission_id}/complete'],
  ['post', '/v1/missions/{mission_id}/archive'],
  ['delete', '/v1/missions/{mission_id}'],
  ['post', '/v1/missions/{mission_id}/seats', 'agent_id role command resume_command env network limits', 201],
  ['get', '/v1/missions/{mission_id}/seats'],
  ['get', '/v1/missions/{mission_id}/seats/{agent_id}'],
  ['delete', '/v1/missions/{mission_id}/seats/{agent_id}'],
  ['post', '/v1/missions/{mission_id}/seats/{agent_id}/exec', 'command env stdin timeout cwd'],
  ['get', '/v1/missions/{mission_id}/seats/{agent_id}/logs'],
  ['post', '/v1/missions/{mission_id}/seats/{agent_id}/collect'],
  ['get', '/v1/missions/{mission_id}/seats/{agent_id}/diff'],
  ['post', '/v1/missions/{mission_id}/seats/{agent_id}/kill', 'signal'],
  ['post', '/v1/homes/seal', 'paths'],
  ['post', '/v1/homes/verify', 'seal_id'],
  ['get', '/v1/events'],
]

test.each(PROMISED)('%s %s is as the contract says', (...row) => {
  const [method, path, body = '', status = 200] = row as (typeof PROMISED)[number]
  const operation = document.paths[path]?.[method]
  if (path !== '/v1/homes/seal') expect(Object.keys(operation.responses)).toContain(String(status))
  const reference: string | undefined = operation.requestBody?.content['application/json'].schema.$ref
  const schema = reference === undefined ? {} : document.components.schemas[reference.split('/').at(-1)!].properties
  expect(Object.keys(schema)).toEqual(expect.arrayContaining(body.split(' ').filter(Boolean)))
})
