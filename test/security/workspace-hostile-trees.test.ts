import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { run } from '../../src/linux/run.ts'
import { makeOrigin, never } from '../workspace/support.ts'
import { AttackBed, CANARY } from './workspace-support.ts'

let bed: AttackBed
beforeEach(() => {
  bed = new AttackBed()
})
afterEach(() => bed[Symbol.asyncDispose]())

/** `tar --list --verbose` of an archive of the trash. */
async function listing(archive: Buffer): Promise<string> {
  const done = await run('tar', ['--list', '--verbose', '--file=-', '--quoting-style=escape'], {
    environment: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
    stdin: archive,
  })
  expect(done.stderr).toBe('')
  return done.stdout.toString('latin1')
}

const DEEP = `perl -e 'for (0..59) { $d = "0" x 200; mkdir $d; chdir $d } open F, ">bottom"'`
const LOCKED = 'mkdir -p locked/inner; echo x > locked/inner/file; chmod 000 locked/inner locked'

describe('archiving a hostile tree', () => {
  it('takes FIFOs, sockets, holes, odd names and closed directories for what they are', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh(`${LOCKED}
      mkfifo fifo; truncate -s 1T hole; touch "$(printf 'not-utf8-\\377')" "$(printf 'line\\nbreak')" ' --help'; chmod 4755 "$(printf 'line\\nbreak')"
      ln -s ${bed.secret} link; rm README.md; ln locked.txt 2>/dev/null || :; echo mine > /home/agent/mine`)
    const snapshot = await bed.workspace.discardToTrash(seat.layer, never)
    expect(snapshot?.bytes).toBeLessThan(100_000)
    const [archive] = bed.archives()
    const names = await listing(archive!)
    for (const name of ['locked/inner/file', 'upper/fifo', 'not-utf8-\\377', 'line\\nbreak', 'home/mine'])
      expect(names).toContain(name)
    expect(names).toMatch(/^c.{9} \S+\s+0,0 .*upper\/README\.md$/m)
    expect(names).toMatch(new RegExp(`^l.*upper/link -> ${bed.secret}$`, 'm'))
    expect(names).toMatch(/ 1099511627776 .*upper\/hole$/m)
    expect(archive!.toString('latin1')).not.toContain(CANARY)
  })

  it('never follows a directory that is swapped for a symlink while it reads', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('i=0; while [ $i -lt 300 ]; do mkdir -p s/$i; echo x > s/$i/secret; i=$((i+1)); done')
    const swapping =
      seat.try(`end=$(( $(date +%s) + 8 )); while [ $(date +%s) -lt $end ] && [ ! -e /artifacts/stop ]; do
      for i in 1 50 100 150 200 250 299; do mv s/$i s/o$i; ln -s ${bed.home} s/$i; rm s/$i; mv s/o$i s/$i; done; done`)
    for (let round = 0; round < 8; round += 1) {
      const other = bed.another()
      await other.discardToTrash(seat.layer, never)
      await bed.workspace.diff(seat.layer, 1e6, never).catch(() => {})
      expect(bed.everythingKept()).not.toContain(CANARY)
      rmSync(join(bed.state, 'trash'), { recursive: true })
    }
    await seat.sh('touch /artifacts/stop')
    await swapping
    // Positive control: through such a link the host does read the home.
    symlinkSync(bed.home, bed.path('control'))
    expect(readFileSync(bed.path('control', 'secret'), 'utf8')).toContain(CANARY)
  })

  it('refuses more entries or bytes than allowed, and leaves nothing half-written', async () => {
    await using small = new AttackBed({ limits: { trash_entries: 50, trash_bytes: 200_000 } })
    const seat = await small.seat(makeOrigin(small.path('origin')), { agent_id: 'many' })
    await seat.sh('i=0; while [ $i -lt 60 ]; do : > f$i; i=$((i+1)); done')
    await expect(small.workspace.discardToTrash(seat.layer, never)).rejects.toMatchObject({ code: 'limit_exceeded' })
    const large = await small.seatIn(seat.layer.seat.mission_id, seat.layer.base, { agent_id: 'large' })
    await large.sh('head -c 400000 /dev/urandom > big')
    await expect(small.workspace.discardToTrash(large.layer, never)).rejects.toMatchObject({ code: 'limit_exceeded' })
    expect(readdirSync(join(small.state, 'trash', seat.layer.seat.mission_id))).toEqual([])
  })
})

describe('removing a hostile tree', () => {
  it('takes what Node alone cannot remove (positive control)', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh(LOCKED)
    await expect(rm(join(seat.directory, 'upper'), { recursive: true, force: true })).rejects.toThrow()
  })

  it.each(['overlay', 'clone'] as const)(
    'leaves nothing, of any mode and depth, and no home is touched (%s)',
    async (mode) => {
      const seat = await bed.seat(makeOrigin(bed.path('origin')), { mode })
      const homes = bed.homeManifest()
      await seat.sh(
        `${LOCKED}; mkfifo fifo; ln -s ${bed.home} into-home; ln -s ${bed.home} /home/agent/into-home; ln -s / root; touch -- -rf; ${DEEP}`,
      )
      await bed.workspace.removeSeat(seat.layer.seat)
      expect(readdirSync(join(bed.missions, seat.layer.seat.mission_id, 'worktree'))).toEqual([])
      expect(bed.homeManifest()).toBe(homes)
      await bed.workspace.removeSeat(seat.layer.seat)
    },
  )

  it('empties artifacts through the airlock too', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    const homes = bed.homeManifest()
    await seat.sh(`cd /artifacts; ${LOCKED}; ln -s ${bed.home} home; ${DEEP}`)
    await bed.workspace.removeSeat(seat.layer.seat)
    await bed.workspace.closeMission(seat.layer.seat.mission_id, seat.layer.base, { repository: false })
    expect(readdirSync(join(bed.missions, seat.layer.seat.mission_id))).toEqual([])
    expect(bed.homeManifest()).toBe(homes)
  })

  it('goes on where a killed daemon stopped, without trusting what lies there', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('echo hostile > .git/config')
    const dying = bed.another({
      faults: (step) => {
        if (step === 'layer.remove') throw new Error('killed')
      },
    })
    await expect(dying.removeSeat(seat.layer.seat)).rejects.toThrow('killed')
    const again = await bed.seatIn(seat.layer.seat.mission_id, seat.layer.base)
    expect(await again.sh('git config user.name')).toBe('builder')
    await bed.workspace.removeSeat(seat.layer.seat)
    expect(existsSync(seat.directory)).toBe(false)
    expect(readdirSync(join(seat.directory, '..'))).toEqual([])
  })
})

describe('a component that became a symlink', () => {
  it.each(['worktree', 'artifacts', 'worktree/builder', 'worktree/builder/home'])(
    'is refused before it is mounted (%s)',
    async (name) => {
      const seat = await bed.seat(makeOrigin(bed.path('origin')))
      const path = join(bed.missions, seat.layer.seat.mission_id, name)
      await run('mv', [path, `${path}.moved`], { environment: { PATH: '/usr/bin:/bin' } })
      symlinkSync(name === 'worktree/builder/home' ? bed.home : `${path}.moved`, path)
      await expect(bed.workspace.openSeat(seat.layer)).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining('symlink'),
      })
    },
  )
})
