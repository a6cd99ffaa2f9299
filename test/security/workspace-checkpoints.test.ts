import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Checkpoint, CheckpointManifest } from '../../src/contract/checkpoint.ts'
import { checkpointOf, jsonFile } from '../../src/workspace/checkpoint-files.ts'
import { orderFor } from '../conformance/checkpoint-store.ts'
import { checkpointsOf, filesOf, listed, restore, take } from '../workspace/checkpoint-support.ts'
import { makeOrigin, never, type TestSeat } from '../workspace/support.ts'
import { ending, member, paxed } from '../workspace/tar-writer.ts'
import { AttackBed, CANARY } from './workspace-support.ts'

let bed: AttackBed
let seat: TestSeat
beforeEach(async () => {
  bed = new AttackBed()
  seat = await bed.seat(makeOrigin(bed.path('origin')))
})
afterEach(() => bed[Symbol.asyncDispose]())

const archiveOf = (checkpoint: Checkpoint): Buffer =>
  zstdDecompressSync(readFileSync(join(filesOf(seat, checkpoint), 'snapshot.tar.zst')))
const DEEP = `perl -e 'for (1..shift) { $d = "0" x 200; mkdir $d; chdir $d or die } open F, ">bottom"'`

describe('a checkpoint of a hostile tree', () => {
  it('takes FIFOs, sockets, holes, odd names and closed directories for what they are, and nothing of a home', async () => {
    const homes = bed.homeManifest()
    await seat.sh(`mkfifo fifo .gitignore /home/agent/fifo; truncate -s 1T hole; chmod 4755 hole; chmod 2755 .
      perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "socket", Listen => 1) or die'
      touch "$(printf 'not-utf8-\\377')" "$(printf 'line\\nbreak')" ' --help' -- --checkpoint-action=exec=id
      ln -s ${bed.secret} secret; ln -s ${bed.home} home; ln -s ${bed.home} /home/agent/home
      mkdir -p locked/inner; echo x > locked/inner/file; chmod 000 locked/inner locked`)
    const checkpoint = await take(seat)
    expect(checkpoint.bytes).toBeLessThan(100_000)
    expect(archiveOf(checkpoint).toString('latin1')).not.toContain(CANARY)
    await bed.checkpoints.verify(checkpoint, never)
    const restored = await restore(seat, checkpoint)
    expect(
      await restored.sh('ls | wc -l; stat -c %s:%b:%a hole; stat -c %F fifo; readlink secret; stat -c %a locked'),
    ).toMatch(new RegExp(`^\\d+\n1099511627776:(0|8):755\nfifo\n${bed.secret}\n0$`))
    expect(bed.homeManifest()).toBe(homes)
  })

  it('takes a path as long as Linux opens, refuses a longer one by name of the limit, and is taken again without it', async () => {
    await seat.sh(`mkdir /home/agent/deep; cd /home/agent/deep; ${DEEP} 19`)
    const deep = await take(seat)
    await restore(seat, deep)
    expect(await seat.sh('find /home/agent/deep -name bottom | wc -l')).toBe('1')
    await seat.sh(`mkdir deep; cd deep; ${DEEP} 60`)
    await expect(take(seat, { sequence: 2, previous: deep })).rejects.toMatchObject({
      code: 'limit_exceeded',
      details: { limit: 'checkpoint_path' },
    })
    expect(listed(seat)).toEqual([deep.checkpoint_id])
    await seat.sh('rm -rf deep')
    await bed.checkpoints.verify(await take(seat, { sequence: 3, previous: deep }), never)
  })

  it('takes a hundred thousand entries, and one more than the cap not at all', async () => {
    const many = 'for my $d (0..99) { mkdir $d; for my $f (0..999) { open F, ">$d/$f"; close F } }'
    execFileSync('perl', ['-e', many], { cwd: join(seat.directory, 'home') })
    const checkpoint = await take(seat)
    expect(checkpoint.entries).toBeGreaterThan(100_000)
    expect((await bed.checkpoints.verify(checkpoint, never)).entries).toBe(checkpoint.entries)
    const capped = bed.worktrees({ limits: { checkpoint_entries: checkpoint.entries - 1 } }).checkpoints
    await expect(take(seat, { sequence: 2 }, capped)).rejects.toMatchObject({
      code: 'limit_exceeded',
      details: { limit: 'checkpoint_entries' },
    })
    expect(listed(seat)).toEqual([checkpoint.checkpoint_id])
  }, 180_000)

  it('is whole while files grow, shrink, come and go under the reader', async () => {
    await seat.sh('mkdir t; for i in $(seq 40); do truncate -s 100000 t/$i; echo x >> t/$i; done')
    const changing =
      seat.try(`i=0; while [ ! -e /artifacts/stop ] && [ $i -lt 100000 ]; do i=$((i+1)); n=$((i % 40 + 1))
      echo more >> t/$n; : > t/$((n % 40 + 1)); rm -f t/$(((n + 7) % 40 + 1)); mkdir -p t/d$n; mv t/d$n t/e$n; rmdir t/e$n; done`)
    try {
      for (let sequence = 1; sequence <= 5; sequence += 1) {
        const checkpoint = await take(seat, { sequence, paused: false })
        await bed.checkpoints.verify(checkpoint, never)
        await bed.checkpoints.stage(seat.layer, checkpoint, never)
      }
    } finally {
      writeFileSync(join(bed.missions, seat.layer.seat.mission_id, 'artifacts/builder/stop'), '')
      await changing
    }
  })

  it('never follows a directory that is swapped for a symlink while it reads', async () => {
    await seat.sh('i=0; while [ $i -lt 300 ]; do mkdir -p s/$i; echo x > s/$i/secret; i=$((i+1)); done')
    const swapping = seat.try(`while [ ! -e /artifacts/stop ]; do
      for i in 1 50 100 150 200 250 299; do mv s/$i s/o$i; ln -s ${bed.home} s/$i; rm s/$i; mv s/o$i s/$i; done; done`)
    try {
      for (let sequence = 1; sequence <= 8; sequence += 1) {
        const checkpoint = await take(seat, { sequence, paused: false })
        expect(archiveOf(checkpoint).toString('latin1')).not.toContain(CANARY)
      }
    } finally {
      writeFileSync(join(bed.missions, seat.layer.seat.mission_id, 'artifacts/builder/stop'), '')
      await swapping
    }
    // Positive control: a reader on the host that goes through such a link has the canary.
    mkdirSync(bed.path('control'))
    symlinkSync(bed.home, bed.path('control', '1'))
    expect(execFileSync('tar', ['-C', bed.path('control'), '-ch', '1']).toString('latin1')).toContain(CANARY)
  })

  it('does not look through a layer or artifacts that became a symlink', async () => {
    for (const name of ['worktree/builder', 'artifacts/builder']) {
      const path = join(bed.missions, seat.layer.seat.mission_id, name)
      execFileSync('mv', [path, `${path}.moved`])
      symlinkSync(bed.home, path)
      await expect(bed.checkpoints.take(seat.layer, orderFor(seat.layer), never)).rejects.toMatchObject({
        code: 'conflict',
      })
      execFileSync('rm', [path])
      execFileSync('mv', [`${path}.moved`, path])
    }
  })
})

/** An archive that somebody put there who could write the ledger as well: every hash is right. */
function forged(tar: Buffer, entries: number, content_bytes = tar.length): Checkpoint {
  const archive = zstdCompressSync(tar)
  const order = orderFor(seat.layer)
  const texts = { 'state.json': jsonFile(order.state), 'context.json': jsonFile(order.context) }
  const sha256 = (content: string | Buffer) => createHash('sha256').update(content).digest('hex')
  const manifest: CheckpointManifest = {
    format: 1,
    ...seat.layer.seat,
    generation: 1,
    sequence: 1,
    sha256: sha256(archive),
    context_hash: sha256(texts['context.json']),
    state_sha256: sha256(texts['state.json']),
    fingerprint: sha256('forged'),
    bytes: archive.length,
    content_bytes,
    entries,
    created_at: new Date(0).toISOString(),
    reason: 'forged',
    paused: true,
    shares: null,
    artifacts: [],
  }
  const checkpoint = checkpointOf(manifest, jsonFile(manifest), 1)
  const directory = join(checkpointsOf(bed, seat.layer.seat), checkpoint.checkpoint_id)
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'snapshot.tar.zst'), archive)
  writeFileSync(join(directory, 'manifest.json'), jsonFile(manifest))
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(directory, name), text)
  return checkpoint
}

describe('a hostile archive, by whatever hash it is known,', () => {
  const top = [member({ name: 'upper/', type: '5', mode: 0o755 }), member({ name: 'home/', type: '5', mode: 0o700 })]
  const tarOf = (...members: readonly Buffer[]) => Buffer.concat([...top, ...members, ending])
  const content = 'from the archive\n'

  /** Nothing of it was laid out, and no home was touched. */
  async function expectRefused(tar: Buffer, entries: number, content_bytes?: number): Promise<void> {
    const homes = bed.homeManifest()
    const checkpoint = forged(tar, entries, content_bytes)
    const corrupt = { code: 'checkpoint_corrupt' }
    await expect(bed.checkpoints.verify(checkpoint, never)).rejects.toMatchObject(corrupt)
    await expect(bed.checkpoints.stage(seat.layer, checkpoint, never)).rejects.toMatchObject(corrupt)
    expect(readdirSync(join(seat.directory, '..'))).toEqual(['builder'])
    expect(bed.homeManifest()).toBe(homes)
    expect(bed.struck).toBe(false)
  }

  it('is laid out when it is sound (positive control: the forgery itself works)', async () => {
    const checkpoint = forged(tarOf(member({ name: 'home/mine', content })), 3)
    await bed.checkpoints.verify(checkpoint, never)
    expect(await (await restore(seat, checkpoint)).sh('cat /home/agent/mine')).toBe(content.trim())
  })

  it('writes nowhere by an absolute name or through ..', async () => {
    await expectRefused(tarOf(member({ name: bed.marker, content })), 3)
    await expectRefused(tarOf(member({ name: `upper/../../../../..${bed.marker}`, content })), 3)
    await expectRefused(tarOf(paxed({ path: bed.marker }, member({ name: 'upper/x', content }))), 3)
    // Positive control: GNU tar that is told to believe it does write there.
    execFileSync('tar', ['-C', bed.root, '-xP'], { input: tarOf(member({ name: bed.marker, content })) })
    expect(existsSync(bed.marker)).toBe(true)
  })

  it('lays nothing beside its parts, and no part is a link', async () => {
    await expectRefused(tarOf(member({ name: 'layer.json', type: '2', link: bed.secret })), 3)
    await expectRefused(tarOf(member({ name: 'brief/mission.json', type: '2', link: bed.secret })), 3)
    await expectRefused(tarOf(member({ name: 'upper', type: '2', link: bed.home })), 3)
  })

  it('brings no device, setuid bit, privileged attribute or hard link to outside', async () => {
    await expectRefused(tarOf(member({ name: 'upper/null', type: '3', major: 1, minor: 3 })), 3)
    await expectRefused(tarOf(member({ name: 'upper/disk', type: '4', major: 8 })), 3)
    await expectRefused(tarOf(member({ name: 'upper/su', mode: 0o4755, content })), 3)
    await expectRefused(tarOf(paxed({ 'SCHILY.xattr.security.capability': 'x' }, member({ name: 'upper/x' }))), 3)
    await expectRefused(tarOf(member({ name: 'upper/x', type: '1', link: bed.secret })), 3)
  })

  it('is no larger and holds no more than its manifest says', async () => {
    const bomb = tarOf(member({ name: 'upper/zeros', content: Buffer.alloc(5_000_000) }))
    await expectRefused(bomb, 3, 10_240)
    await expectRefused(tarOf(member({ name: 'upper/a' }), member({ name: 'upper/b' })), 3)
    await expectRefused(tarOf(member({ name: 'upper/a' })), 4)
    await expectRefused(tarOf(member({ name: 'upper/a', content })).subarray(0, 2_000), 3)
  })

  it('reaches nothing outside through a symlink that it brings itself', async () => {
    const homes = bed.homeManifest()
    const through = tarOf(
      member({ name: 'upper/out', type: '2', link: bed.home }),
      member({ name: 'upper/out/planted', content }),
      member({ name: 'upper/secret', type: '2', link: bed.secret }),
      member({ name: 'upper/secret', content }),
    )
    await bed.checkpoints.stage(seat.layer, forged(through, 6), never).catch(() => {})
    expect(bed.homeManifest()).toBe(homes)
    await bed.checkpoints.unstage(seat.layer.seat)
    // Positive control: on the host such a link leads there.
    mkdirSync(bed.path('control'))
    symlinkSync(bed.home, bed.path('control', 'out'))
    writeFileSync(bed.path('control', 'out', 'planted'), content)
    expect(bed.homeManifest()).not.toBe(homes)
  })
})
