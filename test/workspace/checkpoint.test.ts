import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { filesOf, listed, take } from './checkpoint-support.ts'
import { makeOrigin, never, TestBed } from './support.ts'

let bed: TestBed
beforeEach(() => {
  bed = new TestBed()
})
afterEach(() => bed[Symbol.asyncDispose]())

const sha256 = (content: Uint8Array | string) => createHash('sha256').update(content).digest('hex')

describe('taking a checkpoint', () => {
  it('writes archive, manifest, state and context, each bound to the others by its hash', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('echo work > work; echo session > /home/agent/session; echo report > /artifacts/report')
    const checkpoint = await take(seat, { generation: 3, sequence: 7, reason: 'by hand' })
    const directory = filesOf(seat, checkpoint)
    const read = (name: string) => readFileSync(join(directory, name))
    const archive = read('snapshot.tar.zst')
    const manifest = read('manifest.json')
    expect(checkpoint).toMatchObject({
      ...seat.layer.seat,
      checkpoint_id: `ckpt_${sha256(manifest).slice(0, 24)}`,
      manifest_sha256: sha256(manifest),
      generation: 3,
      sequence: 7,
      reason: 'by hand',
      sha256: sha256(archive),
      bytes: archive.length,
      context_hash: sha256(read('context.json')),
      paused: true,
      shares: null,
    })
    expect(JSON.parse(manifest.toString())).toMatchObject({
      format: 1,
      state_sha256: sha256(read('state.json')),
      artifacts: [{ path: 'report', bytes: 7 }],
    })
    expect(JSON.parse(read('context.json').toString())).toMatchObject({ session: { id: 's1' } })
    for (const [name, mode] of [
      ['', 0o700],
      ['snapshot.tar.zst', 0o600],
      ['manifest.json', 0o600],
      ['state.json', 0o600],
    ] as const)
      expect(statSync(join(directory, name)).mode & 0o777).toBe(mode)
    const { bytes, entries } = await bed.checkpoints.verify(checkpoint, never)
    expect(entries).toBe(checkpoint.entries)
    expect(bytes).toBeGreaterThan(checkpoint.bytes)
    expect(listed(seat)).toEqual([checkpoint.checkpoint_id])
  })

  it('stores nothing twice where nothing changed', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('echo work > work')
    const first = await take(seat)
    const second = await take(seat, { previous: first, sequence: 2 })
    const archive = (of: typeof first) => statSync(join(filesOf(seat, of), 'snapshot.tar.zst'))
    expect([archive(second).ino, archive(second).nlink]).toEqual([archive(first).ino, 2])
    await bed.checkpoints.remove(first)
    expect(archive(second).nlink).toBe(1)
  })
})
