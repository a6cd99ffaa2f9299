import { existsSync, mkdirSync, rmdirSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  cgroupFacts,
  limitFiles,
  openCgroups,
  ownBase,
  ownCgroup,
  parseLimits,
  parseOomKills,
} from '../../src/linux/cgroup.ts'
import { run } from '../../src/linux/run.ts'

describe('cgroup limits', () => {
  it('writes only what was delegated', () => {
    const limits = { cpu: 1.5, memory: 2 ** 30, pids: 64 }
    expect(limitFiles(limits, ['cpu', 'memory', 'pids'])).toEqual([
      ['memory.max', '1073741824'],
      ['memory.swap.max', '0'],
      ['memory.oom.group', '1'],
      ['pids.max', '64'],
      ['cpu.max', '150000 100000'],
    ])
    expect(limitFiles(limits, ['pids'])).toEqual([['pids.max', '64']])
    expect(limitFiles({}, ['cpu', 'memory', 'pids'])).toEqual([])
    expect(limitFiles({ cpu: 0.001 }, ['cpu'])).toEqual([['cpu.max', '1000 100000']])
  })

  it('reads back what the kernel shows', () => {
    expect(parseLimits({ cpu: '150000 100000\n', memory: '1073741824\n', pids: '64\n' })).toEqual({
      cpu: 1.5,
      memory: 2 ** 30,
      pids: 64,
    })
    expect(parseLimits({ cpu: 'max 100000\n', memory: 'max\n', pids: 'max\n' })).toEqual({})
    expect(parseLimits({ cpu: null, memory: null, pids: null })).toEqual({})
  })

  it('finds its own cgroup in hybrid and unified hosts', () => {
    expect(ownCgroup('4:memory:/x\n0::/user.slice/a b.scope\n')).toBe('/user.slice/a b.scope')
    expect(ownCgroup('4:memory:/x\n')).toBeNull()
  })

  it('counts kills for want of memory', () => {
    expect(parseOomKills('low 0\noom 3\noom_kill 2\noom_group_kill 1\n')).toBe(2)
    expect(parseOomKills('')).toBe(0)
  })
})

describe('cgroup tree', () => {
  it('tells the kinds apart by what is mounted', async () => {
    const mount = await mkdtemp(join(tmpdir(), 'lazarus-cgroup-'))
    expect(cgroupFacts(mount)).toEqual({ kind: 'none', delegated: [], base: null })
    await mkdir(join(mount, 'memory'))
    expect(cgroupFacts(mount).kind).toBe('v1')
    await mkdir(join(mount, 'unified'))
    await writeFile(join(mount, 'unified', 'cgroup.controllers'), '')
    expect(cgroupFacts(mount)).toMatchObject({ kind: 'hybrid', base: null })
    await writeFile(join(mount, 'cgroup.controllers'), '')
    expect(cgroupFacts(mount).kind).toBe('v2')
    await rm(mount, { recursive: true })
  })

  it('hands controllers on from a leaf and gives each sandbox its limits', async () => {
    const base = await mkdtemp(join(tmpdir(), 'lazarus-cgroup-'))
    await writeFile(join(base, 'cgroup.procs'), '')
    const cgroups = openCgroups({ kind: 'v2', delegated: ['memory', 'pids'], base })!
    expect(await readFile(join(base, 'cgroup.subtree_control'), 'utf8')).toBe('+memory +pids')
    expect(await readFile(join(base, 'cells', 'cgroup.subtree_control'), 'utf8')).toBe('+memory +pids')
    const path = cgroups.make('a.b.1', { memory: 2 ** 26, pids: 9, cpu: 1 })
    expect(await readFile(join(path, 'memory.max'), 'utf8')).toBe('67108864')
    expect(await readFile(join(path, 'pids.max'), 'utf8')).toBe('9')
    await rm(base, { recursive: true })
  })

  it('is not opened where nothing is delegated', () => {
    expect(openCgroups({ kind: 'hybrid', delegated: [], base: null })).toBeNull()
  })
})

describe('cgroup tree of this machine', () => {
  const module = new URL('../../src/linux/cgroup.ts', import.meta.url).href
  const TAKE = `
    const { ownBase, openCgroups } = await import(${JSON.stringify(module)})
    const base = ownBase()
    openCgroups({ kind: 'v2', delegated: [], base })
    process.stdout.write(base)`

  /** Moves itself into the cgroup, as somebody who starts a pit there. */
  const takenFrom = async (cgroup: string): Promise<string> => {
    const script = 'echo $$ >"$1/cgroup.procs" && exec "$2" --input-type=module --eval "$3"'
    const done = await run('/bin/sh', ['-c', script, 'take', cgroup, process.execPath, TAKE], { environment: {} })
    expect(done).toMatchObject({ exit_code: 0, stderr: '' })
    return done.stdout.toString()
  }

  it('takes possession once: a pit that is started where another pit lies nests nothing in it', async () => {
    const scope = join(ownBase()!, `lazarus-test-${process.pid}`)
    const [leaf, cells] = [join(scope, 'pit'), join(scope, 'cells')]
    mkdirSync(scope)
    try {
      expect(await takenFrom(scope)).toBe(scope)
      expect([leaf, cells].map((path) => existsSync(path))).toEqual([true, true])
      expect(await takenFrom(leaf)).toBe(scope)
      expect([join(leaf, 'pit'), join(leaf, 'cells')].map((path) => existsSync(path))).toEqual([false, false])
    } finally {
      for (const path of [leaf, cells, scope]) if (existsSync(path)) rmdirSync(path)
    }
  })
})
