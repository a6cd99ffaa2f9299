import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { FinalSnapshot } from '../../src/contract/mission.ts'
import { run } from '../../src/linux/run.ts'
import { makeOrigin, never, TestBed, type TestSeat } from './support.ts'

let bed: TestBed
beforeEach(() => {
  bed = new TestBed()
})
afterEach(() => bed[Symbol.asyncDispose]())

const DAY = 86_400_000
const discard = ({ layer }: TestSeat) => bed.workspace.discardToTrash(layer, never)

describe('the trash', () => {
  it('keeps layer and home as they were: whiteouts, attributes, modes', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin'), { a: 'a', 'd/x': 'x' }))
    await seat.sh(
      'rm a; rm -rf d; mkdir d; echo y > d/y; echo mine > /home/agent/mine; chmod 400 /home/agent/mine; cd /; setfattr -n user.note -v hello /workspace/d/y 2>/dev/null || :',
    )
    const snapshot = await discard(seat)
    const content = readFileSync(snapshot!.path)
    expect(snapshot).toMatchObject({
      agent_id: 'builder',
      bytes: content.length,
      sha256: createHash('sha256').update(content).digest('hex'),
    })
    expect(Date.parse(snapshot!.keep_until)).toBe(bed.clock.time + 7 * DAY)
    const restored = bed.path('restored')
    const script =
      'mkdir "$1" && cd "$1" && tar --extract --xattrs --xattrs-include="user.*" --preserve-permissions --file=- && stat -c "%F %a" upper/a home/mine && getfattr --only-values -n user.overlay.opaque upper/d 2>/dev/null || :'
    const done = await run('unshare', ['-Ur', 'sh', '-c', script, 'restore', restored], {
      environment: { PATH: '/usr/bin:/bin' },
      stdin: zstdDecompressSync(content),
    })
    expect(done.stderr).toBe('')
    expect(done.stdout.toString()).toMatch(/^character special file 0\nregular( empty)? file 400/)
    expect(readFileSync(join(restored, 'upper/d/y'), 'utf8')).toBe('y\n')
  })

  it('takes nothing from a seat that did nothing, and everything from one whose only work has an odd name', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    expect(await discard(seat)).toBeNull()
    expect(readdirSync(join(bed.state, 'trash'))).toEqual([])
    await seat.sh('touch "$(printf "\\377")"')
    expect(await discard(seat)).not.toBeNull()
    const reader = await bed.seatIn(seat.layer.seat.mission_id, seat.layer.base, { agent_id: 'reader', role: 'read' })
    expect(await discard(reader)).toBeNull()
    await reader.sh('echo x > /home/agent/x')
    expect(await discard(reader)).not.toBeNull()
  })

  it('finds an earlier archive of the same layer, and never takes it for that of a later one', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('echo x > x')
    const first = await discard(seat)
    expect(await discard(seat)).toEqual(first)
    await bed.workspace.removeSeat(seat.layer.seat)
    expect(await discard(seat)).toBeNull()
    const later = await bed.seatIn(seat.layer.seat.mission_id, seat.layer.base)
    await later.sh('echo y > y')
    expect((await discard(later))?.path).not.toBe(first?.path)
    expect(existsSync(first!.path)).toBe(true)
  })

  it('is swept after its retention, and within it only for space, the oldest first', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')), { agent_id: 'a' })
    const { mission_id } = seat.layer.seat
    const others = [
      await bed.seatIn(mission_id, seat.layer.base, { agent_id: 'b' }),
      await bed.seatIn(mission_id, seat.layer.base, { agent_id: 'c' }),
    ]
    const kept: (FinalSnapshot | null)[] = []
    for (const one of [seat, ...others]) {
      await one.sh('head -c 100000 /dev/urandom > f')
      kept.push(await discard(one))
      bed.clock.time += DAY
    }
    const left = () => kept.map((snapshot) => existsSync(snapshot!.path))
    await bed.workspace.sweep()
    expect(left()).toEqual([true, true, true])
    await bed.another({ retention: { trash_days: 7, trash_bytes: 250_000 } }).sweep()
    expect(left()).toEqual([false, true, true])
    bed.clock.time += 5 * DAY
    await bed.workspace.sweep()
    expect(left()).toEqual([false, false, true])
    bed.clock.time += DAY
    await bed.workspace.sweep()
    expect(readdirSync(join(bed.state, 'trash'))).toEqual([])
  })
})
