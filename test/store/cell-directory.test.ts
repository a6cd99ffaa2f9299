import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { agentFile, CELL_FILES, CELL_FOLDERS, recordFile } from '../../src/contract/cell.ts'
import type { DomainEvent, RecordedEvent } from '../../src/contract/event.ts'
import { fold, type MissionState } from '../../src/domain/mission.ts'
import type { CellDirectory } from '../../src/ports/cell-directory.ts'
import type { EventLog } from '../../src/ports/event-log.ts'
import { createCellDirectory } from '../../src/store/cell-directory.ts'
import { OPENING } from '../../src/store/half-laid.ts'
import { createMemoryLog } from '../../src/store/memory-log.ts'
import { missionCreated, seatRequested } from '../support/missions.ts'

const ID = '0b7c7f8e-53c7-4d2a-9d55-1f7c3f1b2a10'
const OTHER = '0b7c7f8e-53c7-4d2a-9d55-1f7c3f1b2a11'
let now = Date.parse('2026-01-02T00:00:00.000Z')
const clock = { now: () => now, monotonic: () => 0 }
const withdrawn: DomainEvent = {
  type: 'seat_withdrawn',
  agent_id: 'builder',
  data: { final_checkpoint: null, released: { processes: 0, containers: 0, mounts: 0 } },
}

describe('the cell directory', () => {
  let root: string
  let cell: string
  let ledger: EventLog
  let cells: CellDirectory
  let state: MissionState | null
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'lazarus-cells-'))
    cell = join(root, ID)
    ledger = createMemoryLog({ clock })
    cells = restarted()
    state = null
    now = Date.parse('2026-01-02T00:00:00.000Z')
  })
  afterEach(() => {
    spawnSync('chmod', ['-R', 'u+rwX', root])
    rmSync(root, { recursive: true, force: true })
  })

  const restarted = () => createCellDirectory({ missionsPath: root, clock, ledger })
  const record = async (...events: DomainEvent[]): Promise<readonly RecordedEvent[]> => {
    const recorded = await ledger.append(ID, state?.version ?? 0, events)
    state = fold(recorded, state)
    return recorded
  }
  const write = async (...events: DomainEvent[]) => {
    const recorded = await record(...events)
    await cells.write(state!, recorded)
  }
  const created = async () => {
    await cells.lay(ID)
    const recorded = await record(missionCreated({ directory: cell }), seatRequested('builder'))
    await cells.write(state!, recorded)
  }
  const json = (name: string) => JSON.parse(readFileSync(join(cell, name), 'utf8'))
  const logged = () => readFileSync(join(cell, 'logs/mission.log'), 'utf8')
  const expectedLog = () => [...ledger.read({ mission_id: ID })].map((event) => `${JSON.stringify(event)}\n`).join('')
  const inodes = () => Object.fromEntries(Object.keys(CELL_FILES).map((name) => [name, statSync(join(cell, name)).ino]))

  it('lays out every folder, private, and may do so again', async () => {
    await cells.lay(ID)
    writeFileSync(join(cell, 'logs', 'kept'), '')
    await cells.lay(ID)
    expect(readdirSync(cell).sort()).toEqual([...CELL_FOLDERS, OPENING].sort())
    for (const folder of ['', ...CELL_FOLDERS]) expect(statSync(join(cell, folder)).mode & 0o777).toBe(0o700)
    expect(existsSync(join(cell, 'logs', 'kept'))).toBe(true)
  })

  it('writes every file of the contract, private and by its schema, and scan calls it healthy', async () => {
    await created()
    for (const [name, schema] of Object.entries(CELL_FILES)) {
      schema.parse(json(name))
      expect(statSync(join(cell, name)).mode & 0o777).toBe(0o600)
    }
    agentFile.parse(json('agents/builder.json'))
    expect(json('state/heartbeat.json')).toEqual({
      timestamp: '2026-01-02T00:00:00.000Z',
      status: 'active',
      seats: { builder: 'requested' },
    })
    expect(logged()).toBe(expectedLog())
    expect(await cells.scan(new Set([ID]), now + 1000)).toMatchObject({
      summary: { total: 1, healthy: 1 },
      cells: [{ known: true, heartbeat_age_s: 1 }],
    })
  })

  it('writes only what changed, and drops the file of an agent that withdrew', async () => {
    await created()
    const before = inodes()
    await write({ type: 'seat_paused', agent_id: 'builder', data: {} })
    const after = inodes()
    expect(Object.keys(after).filter((name) => after[name] !== before[name])).toEqual([])
    expect(json('agents/builder.json').status).toBe('paused')
    await write(withdrawn)
    expect(readdirSync(join(cell, 'agents'))).toEqual([])
    expect(json('config/permissions.json')).toEqual({})
    expect(
      readdirSync(cell)
        .concat(readdirSync(join(cell, 'config')))
        .filter((name) => name.endsWith('.tmp')),
    ).toEqual([])
  })

  it('refreshes the heartbeat alone', async () => {
    await created()
    await cells.heartbeat(state!, now + 30_000)
    expect(json('state/heartbeat.json').timestamp).toBe('2026-01-02T00:00:30.000Z')
  })

  describe('after a restart of the pit', () => {
    it('goes on with the log, and makes up for what was lost in between', async () => {
      await created()
      await record({ type: 'seat_paused', agent_id: 'builder', data: {} })
      writeFileSync(join(cell, 'logs/mission.log'), `${logged()}{"seq": 3, "at": "2026-`)
      cells = restarted()
      await write({ type: 'seat_resumed', agent_id: 'builder', data: {} })
      expect(logged()).toBe(expectedLog())
      expect(json('agents/builder.json').status).toBe('active')
    })

    it('writes no event twice when it is told of old ones, in any portion', async () => {
      await created()
      cells = restarted()
      const all = [...ledger.read({ mission_id: ID })]
      for (const events of [all, all.slice(1), [], all]) await cells.write(state!, events)
      expect(logged()).toBe(expectedLog())
    })

    it('mends files that somebody changed or removed, and clears what a kill left half-written', async () => {
      await created()
      writeFileSync(join(cell, 'cell.json'), 'scribble')
      rmSync(join(cell, 'config/policies.json'))
      rmSync(join(cell, 'logs/mission.log'))
      writeFileSync(join(cell, 'config/.policies.json.0123.tmp'), '{')
      cells = restarted()
      await cells.write(state!, [])
      expect((await cells.scan(new Set(), now)).cells[0]).toMatchObject({ health: 'healthy' })
      expect(logged()).toBe(expectedLog())
      expect(readdirSync(join(cell, 'config')).filter((name) => name.endsWith('.tmp'))).toEqual([])
    })
  })

  it('a view that could not be written is written next time', async () => {
    await created()
    rmSync(join(cell, 'agents'), { recursive: true })
    await expect(write({ type: 'seat_paused', agent_id: 'builder', data: {} })).rejects.toMatchObject({
      code: 'internal',
    })
    mkdirSync(join(cell, 'agents'))
    await cells.write(state!, [...ledger.read({ mission_id: ID, after: 2 })])
    expect(json('agents/builder.json').status).toBe('paused')
    expect(logged()).toBe(expectedLog())
  })

  it('knows no paths but of ids', () => {
    expect(cells.path(ID)).toBe(cell)
    expect(cells.logPath(ID, 'builder')).toBe(join(cell, 'logs/builder.log'))
    for (const odd of ['..', '', 'x', `${ID}/..`, `${ID}\n`, '__proto__']) {
      expect(() => cells.path(odd)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
      expect(() => cells.logPath(ID, odd === 'x' ? 'X' : odd)).toThrow(
        expect.objectContaining({ code: 'invalid_request' }),
      )
    }
  })

  describe('an archive', () => {
    const archive = async () => {
      await created()
      mkdirSync(join(cell, 'artifacts/builder/deep'), { recursive: true })
      writeFileSync(join(cell, 'artifacts/builder/deep/report'), 'all done')
      symlinkSync('/etc/passwd', join(cell, 'artifacts/builder/link'))
      spawnSync('mkfifo', [join(cell, 'artifacts/builder/fifo')])
      mkdirSync(join(cell, 'repository.git'))
      await write(
        withdrawn,
        { type: 'mission_completed', agent_id: null, data: {} },
        { type: 'archive_started', agent_id: null, data: {} },
      )
      return cells.reduceToRecord(state!)
    }

    it('keeps the identity, the configuration, logs, artifacts and repository, and a record with hashes of them', async () => {
      const path = await archive()
      expect(readdirSync(cell).sort()).toEqual([
        'artifacts',
        'cell.json',
        'config',
        'logs',
        'meta',
        'record.json',
        'repository.git',
      ])
      const file = recordFile.parse(JSON.parse(readFileSync(path, 'utf8')))
      expect(file.mission).toMatchObject({
        mission_id: ID,
        status: 'archiving',
        events: state!.version,
        seats: [{ agent_id: 'builder', status: 'withdrawn' }],
      })
      const sha256 = (bytes: string | Buffer) => createHash('sha256').update(bytes).digest('hex')
      expect(file.log).toEqual({ events: 5, bytes: Buffer.byteLength(expectedLog()), sha256: sha256(expectedLog()) })
      expect(file.files.map((one) => one.path)).toEqual([
        'artifacts/builder/deep/report',
        'config/cell.json',
        'config/isolation.json',
        'config/permissions.json',
        'config/policies.json',
      ])
      for (const one of file.files) expect(one.sha256).toBe(sha256(readFileSync(join(cell, one.path))))
      expect(file.files_omitted).toBe(2)
    })

    it('is healthy to scan once it is complete, takes its last event, and may be made again', async () => {
      const path = await archive()
      expect(await cells.reduceToRecord(state!)).toBe(path)
      await write({ type: 'mission_archived', agent_id: null, data: { record: path } })
      expect((await cells.scan(new Set(), now + 10 ** 9)).cells[0]).toMatchObject({
        health: 'healthy',
        status: 'completed',
      })
      expect(logged()).toBe(expectedLog())
      expect(existsSync(join(cell, 'agents'))).toBe(false)
      const { log } = JSON.parse(readFileSync(path, 'utf8'))
      expect(createHash('sha256').update(logged().slice(0, log.bytes)).digest('hex')).toBe(log.sha256)
    })
  })

  describe('remove', () => {
    it('leaves nothing of this cell, everything of the others, and may be repeated', async () => {
      await created()
      await cells.lay(OTHER)
      await cells.remove(ID)
      await cells.remove(ID)
      expect(readdirSync(root)).toEqual([OTHER])
    })

    it('refuses, as an archive does, while a layer is there', async () => {
      await created()
      mkdirSync(join(cell, 'worktree/builder'))
      for (const attempt of [cells.remove(ID), cells.reduceToRecord(state!)]) {
        await expect(attempt).rejects.toMatchObject({ code: 'conflict', details: { layers: ['builder'] } })
      }
      expect(existsSync(join(cell, 'cell.json'))).toBe(true)
    })

    it('deletes what a cell made hard to delete: closed directories, a path longer than PATH_MAX, odd names', async () => {
      await created()
      const artifacts = join(cell, 'artifacts/builder')
      mkdirSync(join(artifacts, 'closed/inner'), { recursive: true })
      writeFileSync(join(artifacts, 'closed/inner/-rf'), '')
      chmodSync(join(artifacts, 'closed/inner'), 0)
      chmodSync(join(artifacts, 'closed'), 0)
      const deep = 'chdir $ARGV[0]; for (1..60) { mkdir "0" x 200 or die; chdir "0" x 200 or die }'
      expect(spawnSync('perl', ['-e', deep, artifacts]).status).toBe(0)
      expect(() => rmSync(join(artifacts, 'closed'), { recursive: true, force: true })).toThrow('EACCES')
      await cells.remove(ID)
      expect(readdirSync(root)).toEqual([])
    })

    it('stays inside while the cell swaps directories for symlinks; a walk by path does not', async () => {
      const home = mkdtempSync(join(tmpdir(), 'lazarus-home-'))
      const fill = () => {
        for (let i = 0; i < 20; i += 1) writeFileSync(join(home, `canary${i}`), 'alive')
      }
      fill()
      await created()
      const artifacts = join(cell, 'artifacts/builder')
      const makeTree = () => {
        for (let i = 0; i < 20; i += 1) {
          mkdirSync(join(artifacts, `d${i}`), { recursive: true })
          for (let j = 0; j < 20; j += 1) writeFileSync(join(artifacts, `d${i}`, `canary${j}`), '')
        }
      }
      // A stranger swaps every directory for a symlink to the home and back, as fast as a shell can.
      const swap =
        'cd "$1"; while [ -d "$2" ]; do for d in d*; do mv -T "$d" ".$d" && ln -s "$2" "$d"; rm -f "$d"; mv -T ".$d" "$d"; done; done 2>/dev/null'
      for (let round = 0; round < 5; round += 1) {
        makeTree()
        const swapper = spawn('sh', ['-c', swap, 'sh', artifacts, home], { stdio: 'ignore', detached: true })
        const ended = once(swapper, 'exit')
        await cells.remove(ID).catch((error: unknown) => expect(error).toMatchObject({ code: 'runtime_failed' }))
        process.kill(-swapper.pid!, 'SIGKILL')
        await ended
        expect(readdirSync(home)).toHaveLength(20)
      }
      await cells.remove(ID)
      expect(readdirSync(root)).toEqual([])

      // Positive control: what goes by path follows the swap out of the cell.
      makeTree()
      const names = readdirSync(join(artifacts, 'd0'))
      rmSync(join(artifacts, 'd0'), { recursive: true })
      symlinkSync(home, join(artifacts, 'd0'))
      for (const name of names) rmSync(join(artifacts, 'd0', name))
      expect(readdirSync(home)).toEqual([])
      rmSync(home, { recursive: true })
    })
  })
})
