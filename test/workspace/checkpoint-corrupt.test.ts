import {
  cpSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Checkpoint } from '../../src/contract/checkpoint.ts'
import { checkpointsOf, filesOf, take } from './checkpoint-support.ts'
import { makeOrigin, never, TestBed, type TestSeat } from './support.ts'

let bed: TestBed
let seat: TestSeat
let older: Checkpoint
let checkpoint: Checkpoint
beforeEach(async () => {
  bed = new TestBed()
  seat = await bed.seat(makeOrigin(bed.path('origin')))
  await seat.sh('head -c 3000 /dev/urandom > work; echo one > one')
  older = await take(seat)
  await seat.sh('echo two > one')
  checkpoint = await take(seat, { sequence: 2, previous: older })
})
afterEach(() => bed[Symbol.asyncDispose]())

const file = (name: string, of = checkpoint) => join(filesOf(seat, of), name)

/** Neither read nor laid out; the live seat is as it was, and nothing lies beside it. */
async function expectCorrupt(says: RegExp, of = checkpoint): Promise<void> {
  const corrupt = { code: 'checkpoint_corrupt', message: expect.stringMatching(says) }
  await expect(bed.checkpoints.verify(of, never)).rejects.toMatchObject(corrupt)
  await expect(bed.checkpoints.stage(seat.layer, of, never)).rejects.toMatchObject(corrupt)
  expect(readdirSync(join(seat.directory, '..')).filter((name) => name.startsWith('.'))).toEqual([])
  expect(await seat.sh('cat one')).toBe('two')
}

function flip(path: string, at: number): void {
  const content = readFileSync(path)
  content[at]! ^= 0x10
  writeFileSync(path, content)
}

describe('a checkpoint is refused, and the live seat left as it was,', () => {
  it('when one bit of any of its files is flipped', async () => {
    const { bytes } = checkpoint
    for (const at of [0, 5, 40, Math.floor(bytes / 2), bytes - 1]) {
      flip(file('snapshot.tar.zst'), at)
      await expect(bed.checkpoints.verify(checkpoint, never)).rejects.toMatchObject({ code: 'checkpoint_corrupt' })
      flip(file('snapshot.tar.zst'), at)
    }
    await bed.checkpoints.verify(checkpoint, never)
    flip(file('snapshot.tar.zst'), Math.floor(bytes / 2))
    await expectCorrupt(/./)
    for (const name of ['manifest.json', 'state.json', 'context.json']) {
      flip(file(name), 20)
      await expectCorrupt(new RegExp(`${name.replace('.', '\\.')} is not the one of the`))
      flip(file(name), 20)
    }
  })

  it('when a file is cut off, empty or missing', async () => {
    const whole = readFileSync(file('snapshot.tar.zst'))
    truncateSync(file('snapshot.tar.zst'), 1000)
    await expectCorrupt(/has 1000 bytes and not/)
    writeFileSync(file('snapshot.tar.zst'), '')
    await expectCorrupt(/has 0 bytes/)
    rmSync(file('snapshot.tar.zst'))
    await expectCorrupt(/missing/)
    writeFileSync(file('snapshot.tar.zst'), whole)
    rmSync(file('context.json'))
    await expectCorrupt(/missing/)
    rmSync(filesOf(seat, checkpoint), { recursive: true })
    await expectCorrupt(/missing/)
  })

  it('when an archive, or all of it, is that of an older sequence, another seat or another mission', async () => {
    cpSync(file('snapshot.tar.zst', older), file('snapshot.tar.zst'))
    await expectCorrupt(/snapshot\.tar\.zst/)
    const swap = (other: string) => {
      rmSync(filesOf(seat, checkpoint), { recursive: true })
      cpSync(other, filesOf(seat, checkpoint), { recursive: true })
    }
    swap(filesOf(seat, older))
    await expectCorrupt(/manifest\.json is not the one of the ledger/)
    const other = await bed.seatIn(seat.layer.seat.mission_id, seat.layer.base, { agent_id: 'other' })
    swap(filesOf(other, await take(other, { sequence: 2 })))
    await expectCorrupt(/manifest\.json/)
    const foreign = await bed.seat(seat.layer.base.repo)
    swap(filesOf(foreign, await take(foreign, { sequence: 2 })))
    await expectCorrupt(/manifest\.json/)
  })

  it('when the ledger and the manifest differ in anything', async () => {
    const edits: Partial<Checkpoint>[] = [
      { sequence: 1 },
      { generation: 2 },
      { bytes: checkpoint.bytes + 1 },
      { entries: checkpoint.entries + 1 },
      { content_bytes: checkpoint.content_bytes - 1 },
      { sha256: older.sha256 },
      { context_hash: older.sha256 },
      { manifest_sha256: older.manifest_sha256 },
      { fingerprint: older.fingerprint },
      { reason: 'another' },
    ]
    for (const edit of edits) await expectCorrupt(/manifest\.json/, { ...checkpoint, ...edit })
    await expectCorrupt(/missing/, { ...checkpoint, agent_id: 'other' })
  })

  it('when a symlink, a FIFO or a directory stands in the place of a file, or of its directory', async () => {
    const aside = bed.path('aside')
    renameSync(file('snapshot.tar.zst'), aside)
    symlinkSync(aside, file('snapshot.tar.zst'))
    await expectCorrupt(/ELOOP|symbolic/)
    rmSync(file('snapshot.tar.zst'))
    renameSync(aside, file('snapshot.tar.zst'))
    renameSync(file('state.json'), aside)
    cpSync(seat.bed.path('origin'), file('state.json'), { recursive: true })
    await expectCorrupt(/is no file/)
    rmSync(file('state.json'), { recursive: true })
    renameSync(aside, file('state.json'))
    await bed.checkpoints.verify(checkpoint, never)
    renameSync(filesOf(seat, checkpoint), aside)
    symlinkSync(aside, filesOf(seat, checkpoint))
    await expect(bed.checkpoints.verify(checkpoint, never)).rejects.toThrow(/symlink/)
  })
})

describe('a checkpoint whose archive was damaged', () => {
  it('is not shared: the next one is whole again', async () => {
    flip(file('snapshot.tar.zst'), 100)
    const next = await take(seat, { sequence: 3, previous: checkpoint })
    expect(next.shares).toBeNull()
    await bed.checkpoints.verify(next, never)
  })

  it('does not stand in for one that is skipped when it is gone or cut off', async () => {
    const skip = { sequence: 3, previous: checkpoint, unchanged: 'skip' } as const
    expect(await take(seat, skip)).toBeNull()
    truncateSync(file('snapshot.tar.zst'), 1000)
    expect(await bed.checkpoints.isCurrent(seat.layer, checkpoint, never)).toBe(false)
    expect(await take(seat, skip)).toMatchObject({ sequence: 3 })
    rmSync(checkpointsOf(bed, seat.layer.seat), { recursive: true })
    expect(await take(seat, skip)).toMatchObject({ sequence: 3, shares: null })
  })
})
