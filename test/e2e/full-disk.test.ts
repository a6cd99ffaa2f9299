import { afterAll, beforeAll, expect, test } from 'vitest'
import { Mortal, until } from '../support/mortal.ts'
import { MortalCell } from '../support/mortal-cell.ts'

/** Missions lie on a file system of their own that is nearly full: the pit runs in a namespace where it is mounted. */
const SMALL = [
  'unshare',
  ...['--user', '--map-root-user', '--mount', 'sh', '-c'],
  'mkdir -p "$LAZARUS_MISSIONS_PATH" && mount -t tmpfs -o size=28m,mode=700 small "$LAZARUS_MISSIONS_PATH" && exec "$@"',
  'sh',
]

let mortal: Mortal
let cell: MortalCell
beforeAll(async () => {
  mortal = await Mortal.start({}, SMALL)
  cell = await new MortalCell(mortal, 'level_2').open()
})
afterAll(() => mortal?.[Symbol.asyncDispose]())

const exec = async (script: string) =>
  (await mortal.pit.call('POST', `${cell.path}/exec`, { command: ['sh', '-c', script] })).body

const fill = async (): Promise<void> => {
  expect(await exec('head -c 16M /dev/urandom >/workspace/big')).toMatchObject({ exit_code: 0 })
}
const clear = () => exec('rm -f /workspace/big')

test('level_2: a checkpoint that the disk is too small for is refused; the old ones stay, nothing half is left, the agent lives', async () => {
  await cell.work('one')
  const good = await cell.checkpoint()
  await fill()
  const { status, body } = await mortal.pit.call('POST', `${cell.path}/checkpoints`, {})
  expect([status, body.error?.code], JSON.stringify(body)).toEqual([507, 'storage_full'])
  expect(await cell.checkpoints()).toEqual([good])
  await cell.requireSound()
  await clear()
  expect(await cell.checkpoint()).toMatch(/^ckpt_/)
  await cell.requireSound()
})

test('level_2: an agent that dies on a full disk comes back from its live layer, without a checkpoint', async () => {
  await fill()
  const before = await cell.checkpoints()
  const { generation } = (await mortal.pit.call('GET', cell.path)).body
  await cell.kill()
  await mortal.pit.until(cell.path, (seat) => seat.status === 'active' && seat.generation === generation + 1)
  expect(await cell.checkpoints()).toEqual(before)
  const failed = (await mortal.events(cell.mission_id)).filter(({ type }) => type === 'checkpoint_failed')
  expect(failed.at(-1).data.error.code).toBe('storage_full')
  await cell.requireSound()
  await clear()
})

test('level_2: a restore that the disk is too small for leaves the seat as it was', async () => {
  await fill()
  expect(await exec('head -c 2M /dev/urandom >/workspace/more')).toMatchObject({ exit_code: 0 })
  await clear()
  await cell.checkpoint()
  await fill()
  const [oldest] = await cell.checkpoints()
  const { generation } = (await mortal.pit.call('GET', cell.path)).body
  const { status, body } = await mortal.pit.call('POST', `${cell.path}/restore`, { checkpoint_id: oldest })
  expect([status, body.error?.code], JSON.stringify(body)).toEqual([507, 'storage_full'])
  expect((await mortal.pit.call('GET', cell.path)).body).toMatchObject({ status: 'active', generation })
  await cell.requireSound()
  await clear()
  await until(
    async () => (await mortal.pit.call('POST', `${cell.path}/restore`, { checkpoint_id: oldest })).status === 200,
    'no restore',
  )
  expect((await exec('cat /workspace/work')).stdout).toBe('one\n')
})
