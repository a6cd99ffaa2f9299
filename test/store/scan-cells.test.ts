import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CELL_FOLDERS, scanReport } from '../../src/contract/cell.ts'
import { scanCells } from '../../src/store/scan-cells.ts'

const NOW = Date.parse('2026-01-02T00:00:00.000Z')
const ID = '0b7c7f8e-53c7-4d2a-9d55-1f7c3f1b2a10'

/** A cell directory as somebody makes it by hand who has only read the contract. */
const BY_HAND: Record<string, unknown> = {
  'cell.json': {
    cell_id: ID,
    mission_name: 'by hand',
    created_at: '2026-01-01T00:00:00.000Z',
    created_by: 'timmy',
    status: 'active',
    isolation_level: 'level_1',
    max_agents: 10,
    timeout: 3600,
    policies: { auto_revive: 'yes', handoff_allowed: true, checkpoint_interval: 300 },
  },
  'meta/mission.json': { mission_id: ID, created_at: '2026-01-01T00:00:00.000Z', status: 'active' },
  'config/cell.json': { worktree: 'worktree', artifacts: 'artifacts', heartbeat: 'state/heartbeat.json' },
  'config/isolation.json': {
    level: 'level_1',
    mount_namespaces: true,
    network_isolation: true,
    resource_limits: { memory: 536_870_912 },
    security_context: { no_new_privs: true, capabilities_dropped: true, seccomp: false, user_namespace: true },
  },
  'config/policies.json': {
    auto_revive: 'yes',
    revive_timeout: 300,
    substitute_agents: [],
    handoff_allowed: true,
    handoff_approval: 'auto',
    checkpoint_required: false,
    max_retries: 3,
  },
  'config/permissions.json': { builder: { read: true, write: true, execute: [], handoff_to: [], handoff_from: [] } },
  'state/heartbeat.json': { timestamp: '2026-01-01T23:59:00.000Z', status: 'active', seats: { builder: 'active' } },
}

describe('scan', () => {
  let root: string
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'lazarus-scan-'))
  })
  afterEach(() => rmSync(root, { recursive: true, force: true }))

  const makeCell = (name: string) => {
    for (const folder of CELL_FOLDERS) mkdirSync(join(root, name, folder), { recursive: true })
    for (const [file, content] of Object.entries(BY_HAND))
      writeFileSync(join(root, name, file), JSON.stringify(content))
    return join(root, name)
  }
  const scan = async (known: string[] = []) => {
    const report = await scanCells(root, new Set(known), NOW)
    scanReport.parse(report)
    return report
  }
  const only = async () => (await scan()).cells[0]!

  it('tells the four kinds apart, and which ones the ledger knows', async () => {
    makeCell(ID)
    mkdirSync(join(root, 'b-empty'))
    rmSync(join(makeCell('c-torn'), 'tasks'), { recursive: true })
    writeFileSync(
      join(makeCell('d-old'), 'state/heartbeat.json'),
      JSON.stringify({ timestamp: '2026-01-01T00:00:00.000Z', status: 'active', seats: {} }),
    )
    const { cells, summary } = await scan([ID])
    expect(cells.map(({ cell_id, health, known }) => [cell_id, health, known])).toEqual([
      [ID, 'healthy', true],
      ['b-empty', 'uninitialized', false],
      ['c-torn', 'incomplete', false],
      ['d-old', 'stale', false],
    ])
    expect(summary).toEqual({ total: 4, healthy: 1, stale: 1, incomplete: 1, uninitialized: 1 })
    expect(cells[0]).toMatchObject({ path: join(root, ID), status: 'active', heartbeat_age_s: 60, problems: [] })
  })

  it('finds nothing where there is no missions root, and passes by what is no directory', async () => {
    writeFileSync(join(root, 'README'), '')
    symlinkSync('/', join(root, 'link'))
    mkdirSync(join(root, '.trash'))
    expect((await scan()).cells).toEqual([])
    expect((await scanCells(join(root, 'missing'), new Set(), NOW)).summary.total).toBe(0)
  })

  describe('is neither held up nor fooled by', () => {
    const hostile: [string, (path: string) => void, RegExp][] = [
      ['a folder', (path) => mkdirSync(path), /is a folder, not a file/],
      ['a FIFO', (path) => spawnSync('mkfifo', [path]), /is a special file, not a file/],
      ['a symlink', (path) => symlinkSync('/etc/passwd', path), /is a symlink, not a file/],
      ['a symlink to itself', (path) => symlinkSync('cell.json', path), /is a symlink, not a file/],
      ['a file of 1 GiB', (path) => spawnSync('truncate', ['-s', '1G', path]), /has 1073741824 bytes/],
      ['a file that may not be read', (path) => writeFileSync(path, '{}', { mode: 0 }), /cannot be read \(EACCES\)/],
      ['nothing', (path) => writeFileSync(path, ''), /is no JSON/],
      ['a million brackets', (path) => writeFileSync(path, '['.repeat(1_000_000)), /is no JSON/],
      ['bytes', (path) => writeFileSync(path, Buffer.from([0xff, 0xfe, 0])), /is no JSON/],
      [
        'unknown fields',
        (path) => writeFileSync(path, JSON.stringify({ ...(BY_HAND['cell.json'] as object), extra: 1 })),
        /does not parse.*extra/,
      ],
      [
        'a terrible name',
        (path) => writeFileSync(path, JSON.stringify({ ...(BY_HAND['cell.json'] as object), ['x'.repeat(9999)]: 1 })),
        /does not parse/,
      ],
    ]
    it.each(hostile)('%s in the place of cell.json', async (_, make, problem) => {
      const path = join(makeCell('cell'), 'cell.json')
      unlinkSync(path)
      make(path)
      const cell = await only()
      expect(cell.health).toBe('incomplete')
      expect(cell.problems.join('\n')).toMatch(problem)
      expect(cell.problems.join('\n').length).toBeLessThan(1000)
    })

    it('a folder that is a symlink: nothing is read through it', async () => {
      const cell = makeCell('cell')
      rmSync(join(cell, 'state'), { recursive: true })
      const elsewhere = mkdtempSync(join(tmpdir(), 'lazarus-elsewhere-'))
      writeFileSync(join(elsewhere, 'heartbeat.json'), JSON.stringify(BY_HAND['state/heartbeat.json']))
      symlinkSync(elsewhere, join(cell, 'state'))
      expect(await only()).toMatchObject({
        health: 'incomplete',
        heartbeat_age_s: null,
        problems: ['state is a symlink, not a folder', 'state/heartbeat.json is missing'],
      })
      rmSync(elsewhere, { recursive: true })
    })

    it('a directory that may not be entered', async () => {
      const cell = makeCell('cell')
      chmodSync(cell, 0)
      const { health, problems } = await only()
      chmodSync(cell, 0o700)
      expect(health).toBe('incomplete')
      expect(problems).toContain('cell.json cannot be read (EACCES)')
    })
  })

  it('keeps what it looks at as it was', async () => {
    const cell = makeCell('cell')
    const list = () =>
      spawnSync('find', [dirname(cell), '-printf', '%p %m %s %T@ %C@ %i\n'], { encoding: 'utf8' }).stdout
    const before = list()
    await scan()
    expect(list()).toBe(before)
  })
})
