import { spawn } from 'node:child_process'
import { closeSync, readFileSync, writeSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Coprocess } from '../../src/linux/coprocess.ts'
import { Pipes } from '../../src/linux/pipes.ts'

/** Any program of the kind makes them. */
const coprocess = new Coprocess(fileURLToPath(new URL('../../src/linux/hull-runner.pl', import.meta.url)))
const makeFifos = (paths: readonly string[]) => coprocess.makeFifos(paths)

let directory: string
let pipes: Pipes

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lazarus-pipes-'))
  pipes = new Pipes(directory, makeFifos)
})
afterAll(() => rm(directory, { recursive: true }))

describe('pipes', () => {
  it('are real: a program may open /dev/stderr again', async () => {
    const pipe = await pipes.take('none')
    const child = spawn('/bin/sh', ['-c', 'echo reopened >/dev/stderr'], { stdio: ['ignore', 'ignore', pipe.write] })
    closeSync(pipe.write)
    expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(0)
    expect(readFileSync(pipe.read, 'utf8')).toBe('reopened\n')
    closeSync(pipe.read)
  })

  it('carry bytes whichever end is ours', async () => {
    for (const ours of ['read', 'write', 'none'] as const) {
      const pipe = await pipes.take(ours)
      writeSync(pipe.write, ours)
      closeSync(pipe.write)
      expect(readFileSync(pipe.read, 'utf8')).toBe(ours)
      closeSync(pipe.read)
    }
  })

  it('can be taken by many at once, each another, and leave no name behind', async () => {
    const many = await Promise.all(Array.from({ length: 40 }, () => pipes.take('read')))
    const fds = many.flatMap(({ read, write }) => [read, write])
    expect(new Set(fds).size).toBe(80)
    for (const fd of fds) closeSync(fd)
    expect((await readdir(directory)).length).toBeLessThanOrEqual(32)
  })

  it('removes what an earlier pit left', async () => {
    const left = join(directory, 'left')
    await mkdir(left)
    await writeFile(join(left, '1-1'), '')
    const again = new Pipes(left, makeFifos)
    expect(await readdir(left)).toEqual([])
    const pipe = await again.take('read')
    for (const fd of [pipe.read, pipe.write]) closeSync(fd)
  })
})
