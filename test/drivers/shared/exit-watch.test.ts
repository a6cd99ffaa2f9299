import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { factOf } from '../../../src/drivers/shared/exit-facts.ts'
import { ExitWatch, type WatchDeps } from '../../../src/drivers/shared/exit-watch.ts'
import { Records, type SandboxRecord } from '../../../src/drivers/shared/records.ts'
import { silentLog } from '../../../src/kernel/log.ts'
import { bootId, startTime } from '../../../src/linux/process.ts'
import type { ExitNotice } from '../../../src/ports/cell-driver.ts'

let root: string
let records: Records
const clock = { now: () => Date.now(), monotonic: () => performance.now() }

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'lazarus-exits-'))
  records = new Records(root)
})
afterAll(() => rm(root, { recursive: true }))

const record = (agent_id: string, hull: SandboxRecord['hull'] = living()): SandboxRecord => ({
  level: 'level_1',
  name: { mission_id: 'm', agent_id, generation: 1 },
  run_dir: root,
  exit_name: `m.${agent_id}.1.x`,
  cgroup: null,
  shim: null,
  hull,
  agent_pid: null,
})
const living = () => ({ pid: process.pid, start_time: startTime(process.pid)! })

function watchWith(change: Partial<WatchDeps> = {}): { watch: ExitWatch; told: Promise<ExitNotice> } {
  const watch = new ExitWatch({ records, clock, log: silentLog, ...change })
  return { watch, told: new Promise((tell) => watch.listen(tell)) }
}
const broken = () => {
  throw Object.assign(new Error('too many open files'), { code: 'EMFILE' })
}

describe('exit watch', () => {
  it('tells a record as soon as it is whole, and no sooner', async () => {
    const { watch, told } = watchWith()
    const dead = record('whole')
    watch.add(dead)
    await writeFile(records.exitPath(dead), '\n')
    await writeFile(records.exitPath(dead), `\n7 ${bootId()}`)
    expect(records.readExit(dead)).toBeNull()
    await writeFile(records.exitPath(dead), `\n7 ${bootId()}\n`)
    expect(await told).toMatchObject({ name: dead.name, exit: { cause: 'exit', code: 7, noticed_by: 'exit record' } })
  })

  it('polls when the kernel gives no inotify watch', async () => {
    const { watch, told } = watchWith({ watchDirectory: broken })
    const dead = record('polled')
    watch.add(dead)
    await writeFile(records.exitPath(dead), `\n137 ${bootId()}\n`)
    expect(await told).toMatchObject({ exit: { cause: 'signal', signal: 'SIGKILL', noticed_by: 'poll' } })
  })

  it('notices a hull that died without a record, when its shim had the time to write one', async () => {
    const { watch, told } = watchWith({ watchDirectory: broken })
    watch.add(record('silent', { pid: process.pid, start_time: `${bootId()}:1` }))
    expect(await told).toMatchObject({ exit: { cause: 'runtime_gone', code: null } })
  })

  it('knows a restart of the host by the boot id', async () => {
    const { watch, told } = watchWith({ watchDirectory: broken })
    watch.add(record('rebooted', { pid: process.pid, start_time: 'another-boot:1' }))
    expect(await told).toMatchObject({ exit: { cause: 'host_restart' } })
  })

  it('reads a killed hull from the missing exit code', async () => {
    const dead = record('killed')
    await writeFile(records.exitPath(dead), `\n ${bootId()}\n`)
    expect(factOf(dead, records.readExit(dead)!, clock, 'test')).toMatchObject({
      cause: 'runtime_gone',
      code: null,
      signal: null,
    })
  })

  it('removes records of attempts that nobody recorded', async () => {
    const kept = record('kept')
    records.write(kept)
    await writeFile(records.exitPath(kept), `\n0 ${bootId()}\n`)
    await writeFile(join(records.exits, 'orphan'), '\n')
    const again = new Records(root)
    expect(again.readExit(kept)?.code).toBe(0)
    expect(again.list()).toEqual([kept])
    expect(await readdir(again.exits)).toEqual([kept.exit_name])
  })
})
