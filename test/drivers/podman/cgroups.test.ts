import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { endWholeWhenOutOfMemory, memoryCgroup } from '../../../src/drivers/podman/cgroups.ts'

/** As Podman lays them out: with systemd the limits lie one above the processes, with cgroupfs beside them. */
describe('level_3 cgroups of a container', () => {
  let root: string
  const lay = (path: string, max: string) => {
    mkdirSync(join(root, path), { recursive: true })
    writeFileSync(join(root, path, 'memory.max'), `${max}\n`)
    writeFileSync(join(root, path, 'memory.oom.group'), '0\n')
    return join(root, path)
  }
  const group = (directory: string) => readFileSync(join(directory, 'memory.oom.group'), 'utf8').trim()
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'lazarus-cgroups-'))
  })
  afterEach(() => rmSync(root, { recursive: true }))

  it('end whole when out of memory, where their memory is bounded', () => {
    const scope = lay('libpod-1.scope', '134217728')
    const inner = lay('libpod-1.scope/container', 'max')
    expect(memoryCgroup(inner)).toBe(scope)
    endWholeWhenOutOfMemory(inner)
    expect([group(scope), group(inner)]).toEqual(['1', '0'])
    const alone = lay('libpod-2', '134217728')
    endWholeWhenOutOfMemory(alone)
    expect(group(alone)).toBe('1')
  })

  it('are left as they are where nothing bounds them, or the file is not there to write', () => {
    const free = lay('libpod-3', 'max')
    expect(memoryCgroup(free)).toBeNull()
    endWholeWhenOutOfMemory(free)
    endWholeWhenOutOfMemory(null)
    expect(group(free)).toBe('0')
    const old = lay('libpod-4', '1048576')
    rmSync(join(old, 'memory.oom.group'))
    mkdirSync(join(old, 'memory.oom.group'))
    endWholeWhenOutOfMemory(old)
  })
})
