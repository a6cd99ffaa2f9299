import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { removeTemporaries, writeAtomic } from '../../src/store/atomic-file.ts'

describe('writeAtomic', () => {
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'lazarus-atomic-'))
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  it.each([true, false])('makes and replaces a private file, durable: %s', async (durable) => {
    const path = join(directory, 'f')
    writeFileSync(path, 'old', { mode: 0o644 })
    await writeAtomic(path, 'new', { durable })
    expect(readFileSync(path, 'utf8')).toBe('new')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readdirSync(directory)).toEqual(['f'])
  })

  it('replaces a symlink and leaves alone what it led to', async () => {
    writeFileSync(join(directory, 'canary'), 'untouched')
    symlinkSync('canary', join(directory, 'f'))
    await writeAtomic(join(directory, 'f'), 'new', { durable: false })
    expect(readFileSync(join(directory, 'canary'), 'utf8')).toBe('untouched')
    expect(readFileSync(join(directory, 'f'), 'utf8')).toBe('new')
  })

  it('shows readers and concurrent writers whole files only', async () => {
    const path = join(directory, 'f')
    const texts = Array.from({ length: 20 }, (_, i) => `${i}`.repeat(200_000))
    await writeAtomic(path, texts[0]!, { durable: false })
    let writing = true
    const writes = Promise.all(texts.map((text) => writeAtomic(path, text, { durable: false }))).finally(() => {
      writing = false
    })
    while (writing) {
      expect(texts.includes(readFileSync(path, 'utf8'))).toBe(true)
      await new Promise(setImmediate)
    }
    await writes
  })

  it('leaves nothing behind when it fails', async () => {
    await expect(writeAtomic(join(directory, 'missing', 'f'), 'x', { durable: true })).rejects.toThrow('ENOENT')
    rmSync(join(directory, 'f'), { force: true })
    const taken = join(directory, 'taken')
    writeFileSync(join(directory, 'keep'), '')
    await import('node:fs/promises').then(({ mkdir }) => mkdir(join(taken, 'full'), { recursive: true }))
    await expect(writeAtomic(taken, 'x', { durable: true })).rejects.toThrow()
    expect(readdirSync(directory).sort()).toEqual(['keep', 'taken'])
  })

  it('what a killed writer left is found and removed, and nothing else', async () => {
    for (const name of ['.f.0011.tmp', 'f.tmp', '.hidden', 'f']) writeFileSync(join(directory, name), '')
    await removeTemporaries(directory)
    await removeTemporaries(join(directory, 'missing'))
    expect(readdirSync(directory).sort()).toEqual(['.hidden', 'f', 'f.tmp'])
  })
})
