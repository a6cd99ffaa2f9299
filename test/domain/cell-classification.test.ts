import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CELL_FILES, CELL_FOLDERS, type CellFileName, cellHealth } from '../../src/contract/cell.ts'
import { type CellFacts, classifyCell, type FileFact, type FolderFact } from '../../src/domain/cell-classification.ts'
import { cellViews, heartbeatView } from '../../src/domain/cell-views.ts'
import { fold } from '../../src/domain/mission.ts'
import { missionCreated, recorded } from '../support/missions.ts'

const NOW = Date.parse('2026-01-02T00:00:00.000Z')
const state = fold(recorded('0b7c7f8e-53c7-4d2a-9d55-1f7c3f1b2a10', [missionCreated({ timeout: 100 })]))!
const text = (view: unknown): FileFact => ({ text: JSON.stringify(view) })
const beat = (seconds_ago: number) => text(heartbeatView(state, new Date(NOW - seconds_ago * 1000).toISOString()))

const FOLDERS = Object.fromEntries(CELL_FOLDERS.map((name) => [name, 'folder'])) as CellFacts['folders']
const FILES = {
  ...Object.fromEntries(Object.entries(cellViews(state)).map(([name, view]) => [name, text(view)])),
  'state/heartbeat.json': beat(5),
} as CellFacts['files']

const classify = (
  files: Partial<CellFacts['files']> = {},
  folders: Partial<CellFacts['folders']> = {},
  record = false,
) => classifyCell({ files: { ...FILES, ...files }, folders: { ...FOLDERS, ...folders }, record }, NOW)

describe('a cell is', () => {
  it('healthy with everything there and a heartbeat that is young enough', () => {
    expect(classify()).toEqual({ health: 'healthy', problems: [], status: 'active', heartbeat_age_s: 5 })
    expect(classify({ 'state/heartbeat.json': beat(100) }).health).toBe('healthy')
  })

  it('stale when the heartbeat is older than its timeout', () => {
    expect(classify({ 'state/heartbeat.json': beat(100.001) })).toMatchObject({
      health: 'stale',
      heartbeat_age_s: 100.001,
      problems: [expect.stringContaining('100.001 s old')],
    })
  })

  it('no younger than now when its clock runs ahead', () => {
    expect(classify({ 'state/heartbeat.json': beat(-50) })).toMatchObject({ health: 'healthy', heartbeat_age_s: 0 })
  })

  it('uninitialized without cell.json and meta/mission.json, whatever else is there', () => {
    const none = { 'cell.json': 'missing', 'meta/mission.json': 'missing' } as const
    expect(classify(none)).toMatchObject({ health: 'uninitialized', status: null })
    expect(classify(none, { logs: 'missing' }).health).toBe('uninitialized')
  })

  it('incomplete with one of the two only', () => {
    expect(classify({ 'cell.json': 'missing' })).toMatchObject({
      health: 'incomplete',
      problems: ['cell.json is missing'],
    })
    expect(classify({ 'meta/mission.json': 'missing' }).health).toBe('incomplete')
  })

  it.each(Object.keys(CELL_FILES) as CellFileName[])(
    'incomplete when %s is missing, unusable, no JSON, or of another shape',
    (name) => {
      const odd: FileFact[] = [
        'missing',
        { unusable: 'is a folder, not a file' },
        { text: '{' },
        { text: '' },
        { text: '"odd"' },
      ]
      for (const fact of odd) {
        const { health, problems } = classify({ [name]: fact })
        expect(health).toBe('incomplete')
        expect(problems.join()).toContain(name)
      }
      // Any id is a key of the permissions; the others are strict.
      if (name !== 'config/permissions.json')
        expect(classify({ [name]: { text: '{"unknown": 1}' } }).health).toBe('incomplete')
    },
  )

  it.each(CELL_FOLDERS)('incomplete when %s/ is missing or something else', (name) => {
    expect(classify({}, { [name]: 'missing' })).toMatchObject({
      health: 'incomplete',
      problems: [`${name}/ is missing`],
    })
    expect(classify({}, { [name]: { unusable: 'is a symlink, not a folder' } }).problems).toEqual([
      `${name} is a symlink, not a folder`,
    ])
  })

  it('healthy when it is archived, with its identity and its record alone', () => {
    const archived = { ...cellViews({ ...state, status: 'archived' }) }
    const files = {
      ...FILES,
      'meta/mission.json': text(archived['meta/mission.json']),
      'state/heartbeat.json': 'missing',
    } as const
    expect(classify(files, { state: 'missing', agents: 'missing' }, true).health).toBe('healthy')
    expect(classify(files, { state: 'missing' }, false).health).toBe('incomplete')
  })

  it('always one of the four, and says why unless it is healthy, whatever was found', () => {
    const file = fc.oneof(
      fc.constant<FileFact>('missing'),
      fc.record({ unusable: fc.string() }),
      fc.record({ text: fc.oneof(fc.string(), fc.json()) }),
    )
    const folder = fc.oneof(fc.constantFrom<FolderFact>('folder', 'missing'), fc.record({ unusable: fc.string() }))
    const some = <T>(names: readonly string[], fact: fc.Arbitrary<T>) => fc.dictionary(fc.constantFrom(...names), fact)
    fc.assert(
      fc.property(
        some(Object.keys(CELL_FILES), file),
        some(CELL_FOLDERS, folder),
        fc.boolean(),
        (files, folders, record) => {
          const { health, problems } = classify(files, folders, record)
          cellHealth.parse(health)
          expect(problems.length === 0).toBe(health === 'healthy')
          for (const problem of problems) expect(problem.length).toBeLessThan(1000)
        },
      ),
    )
  })
})
