import { describe, expect, test } from 'vitest'
import { importsOf, read, sources } from '../support/source-tree.ts'

const FLOORS: Readonly<Record<string, number>> = {
  kernel: 0,
  contract: 1,
  domain: 2,
  ports: 3,
  linux: 3,
  app: 4,
  drivers: 4,
  store: 4,
  workspace: 4,
  homes: 4,
  alerts: 4,
  gateways: 4,
  http: 5,
  cli: 5,
  main: 6,
}

/** Libraries that stop at their adapter. */
const HOMES_OF_LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  zod: ['contract', 'main', 'http', 'store'],
  fastify: ['http'],
  dockerode: ['drivers'],
  'tar-fs': ['drivers'],
  execa: ['linux', 'drivers'],
  pino: ['main'],
  commander: ['cli'],
}

const files = sources('src')
const roomOf = (path: string): string => path.split('/')[1]!

function violation(from: string, to: string): string | null {
  if (!to.startsWith('src/')) return null
  const [a, b] = [roomOf(from), roomOf(to)]
  if (a === b || FLOORS[b]! < FLOORS[a]!) return null
  return `${from} (floor ${FLOORS[a]}) imports ${to} (floor ${FLOORS[b]})`
}

function cycles(edges: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const found: string[] = []
  const done = new Set<string>()
  const visit = (node: string, path: readonly string[]): void => {
    if (path.includes(node)) {
      found.push([...path.slice(path.indexOf(node)), node].join(' → '))
      return
    }
    if (done.has(node)) return
    for (const next of edges.get(node) ?? []) visit(next, [...path, node])
    done.add(node)
  }
  for (const node of edges.keys()) visit(node, [])
  return found
}

describe('the house', () => {
  test('every room has a floor', () => {
    expect([...new Set(files.map(roomOf))].filter((room) => !(room in FLOORS))).toEqual([])
  })

  test('a room imports only from floors below', () => {
    expect(files.flatMap(importsOf).flatMap(({ from, to }) => violation(from, to) ?? [])).toEqual([])
  })

  test('the check itself sees an upward and a sideways import', () => {
    expect(violation('src/domain/a.ts', 'src/app/b.ts')).not.toBeNull()
    expect(violation('src/http/a.ts', 'src/cli/b.ts')).not.toBeNull()
  })

  test('there are no import cycles', () => {
    expect(cycles(new Map(files.map((file) => [file, importsOf(file).map(({ to }) => to)])))).toEqual([])
  })

  test('the cycle check itself sees a cycle', () => {
    expect(
      cycles(
        new Map([
          ['a', ['b']],
          ['b', ['c']],
          ['c', ['a']],
        ]),
      ),
    ).toEqual(['a → b → c → a'])
  })

  test('each library has its home', () => {
    const strays = files.flatMap(importsOf).filter(({ from, to }) => {
      const rooms = HOMES_OF_LIBRARIES[to.split('/')[0]!]
      return rooms !== undefined && !rooms.includes(roomOf(from))
    })
    expect(strays).toEqual([])
  })

  test('domain is pure: no node:, no Date, no randomness', () => {
    const impure = sources('src/domain').filter((file) => /from 'node:|\bDate\b|Math\.random/.test(read(file)))
    expect(impure).toEqual([])
  })

  test('only main reads process.env', () => {
    expect(files.filter((file) => roomOf(file) !== 'main' && read(file).includes('process.env'))).toEqual([])
  })

  test('there are no barrels', () => {
    expect(files.filter((file) => file.endsWith('/index.ts'))).toEqual([])
  })
})
