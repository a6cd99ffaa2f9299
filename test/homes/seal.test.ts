import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { seal as sealSchema, verification } from '../../src/contract/home.ts'
import { never, rejection, Scratch } from './scratch.ts'

/** Seals alice, does something, and tells what the verification says of her home: path below it → what. */
async function changesOf(prepare: (alice: string) => void, act: (alice: string) => void, content = false) {
  using scratch = new Scratch()
  const watch = scratch.watch()
  prepare(scratch.alice)
  const seal = await watch.seal({ content }, never)
  act(scratch.alice)
  const { changed, unchanged, changes } = await watch.verify(seal.seal_id, never)
  expect(unchanged).toBe(changes === 0)
  expect(changes).toBe(changed.length)
  return Object.fromEntries(changed.map(({ path, what }) => [path.slice(scratch.alice.length + 1), what]))
}

describe('seal and verify', () => {
  it('count every entry and find nothing changed when nothing was, seal after seal', async () => {
    using scratch = new Scratch()
    writeFileSync(join(scratch.alice, 'notes'), 'x')
    symlinkSync('nowhere', join(scratch.bob, 'link'))
    const watch = scratch.watch()
    for (const content of [false, true]) {
      const seal = await watch.seal({ content }, never)
      sealSchema.parse(seal)
      expect(seal).toMatchObject({ homes: [scratch.alice, scratch.bob], entries: 4, unreadable: 0, content })
      const verified = await watch.verify(seal.seal_id, never)
      verification.parse(verified)
      expect(verified).toMatchObject({ seal_id: seal.seal_id, unchanged: true, entries: 4, changes: 0, changed: [] })
    }
  })

  describe('name what differs', () => {
    const file = (alice: string) => writeFileSync(join(alice, 'f'), 'before')
    it('content and size', async () => {
      expect(await changesOf(file, (alice) => appendFileSync(join(alice, 'f'), '!'))).toEqual({ f: 'size,mtime,ctime' })
    })
    it('content of the same size, with the modification time put back', async () => {
      const act = (alice: string) => {
        const { atime, mtime } = statSync(join(alice, 'f'))
        writeFileSync(join(alice, 'f'), 'after!')
        utimesSync(join(alice, 'f'), atime, mtime)
      }
      // utimes is less exact than the kernel, so mtime may differ too; ctime cannot be put back.
      expect(await changesOf(file, act)).toEqual({ f: expect.stringMatching(/^(mtime,)?ctime$/) })
      expect(await changesOf(file, act, true)).toEqual({ f: expect.stringMatching(/^(mtime,)?ctime,content$/) })
    })
    it('mode', async () => {
      expect(await changesOf(file, (alice) => chmodSync(join(alice, 'f'), 0o4755))).toEqual({ f: 'mode,ctime' })
    })
    it('type', async () => {
      const act = (alice: string) => {
        unlinkSync(join(alice, 'f'))
        mkdirSync(join(alice, 'f'))
      }
      expect(await changesOf(file, act)).toMatchObject({ f: expect.stringMatching(/^type,mode,size,mtime,ctime/) })
    })
    it('an entry that was replaced by one that looks the same', async () => {
      const act = (alice: string) => {
        const { atime, mtime } = statSync(join(alice, 'f'))
        writeFileSync(join(alice, 'g'), 'before')
        renameSync(join(alice, 'g'), join(alice, 'f'))
        utimesSync(join(alice, 'f'), atime, mtime)
      }
      expect(await changesOf(file, act)).toHaveProperty('f', expect.stringMatching(/inode/))
    })
    it('where a symlink leads', async () => {
      const link = (to: string) => (alice: string) => {
        rmSync(join(alice, 'l'), { force: true })
        symlinkSync(to, join(alice, 'l'))
      }
      expect(await changesOf(link('a b'), link('a c'))).toHaveProperty('l', expect.stringMatching(/target/))
    })
    it('a hard link made from outside', async () => {
      expect(await changesOf(file, (alice) => linkSync(join(alice, 'f'), join(alice, '..', '..', 'stolen')))).toEqual({
        f: 'ctime',
      })
    })
    it('added, removed, renamed, and the directory that they were in', async () => {
      const prepare = (alice: string) => {
        mkdirSync(join(alice, 'd'))
        writeFileSync(join(alice, 'd', 'old'), '')
      }
      const act = (alice: string) => renameSync(join(alice, 'd', 'old'), join(alice, 'd', 'new'))
      expect(await changesOf(prepare, act)).toEqual({ d: 'mtime,ctime', 'd/new': 'added', 'd/old': 'removed' })
    })
    it('a whole home that vanished, entry by entry', async () => {
      expect(await changesOf(file, (alice) => rmSync(alice, { recursive: true }))).toEqual({
        '': 'removed',
        f: 'removed',
      })
    })
    it('a home that became a symlink to another place', async () => {
      const act = (alice: string) => {
        renameSync(alice, `${alice}.real`)
        symlinkSync(`${alice}.real`, alice)
      }
      expect(await changesOf(file, act)).toMatchObject({ '': expect.stringMatching(/^type,/), f: 'removed' })
    })
  })

  it('keep names apart whatever bytes they hold, and show what is not UTF-8 as %XX', async () => {
    using scratch = new Scratch()
    const name = (...bytes: number[]) => Buffer.concat([Buffer.from(`${scratch.alice}/`), Buffer.from(bytes)])
    writeFileSync(name(0x66, 0xff, 0xc3, 0xa9), '')
    writeFileSync(join(scratch.alice, 'two\nlines\tand a tab'), '')
    symlinkSync('a // b', join(scratch.alice, 'link'))
    const watch = scratch.watch()
    const seal = await watch.seal({ content: true }, never)
    expect(seal.entries).toBe(5)
    appendFileSync(name(0x66, 0xff, 0xc3, 0xa9), 'x')
    writeFileSync(name(0x66, 0xfe), '')
    appendFileSync(join(scratch.alice, 'two\nlines\tand a tab'), 'x')
    const { changed } = await watch.verify(seal.seal_id, never)
    expect(Object.fromEntries(changed.map(({ path, what }) => [path.slice(scratch.alice.length), what]))).toEqual({
      '': 'mtime,ctime',
      '/f%FE': 'added',
      '/f%FFé': 'size,mtime,ctime,content',
      '/two\nlines\tand a tab': 'size,mtime,ctime,content',
    })
  })

  it('leave out the directories of the pit, whatever characters their names hold, and nothing beside them', async () => {
    using scratch = new Scratch()
    const own = scratch.directory('home', 'alice', 'st[a]te*?\\')
    const beside = scratch.directory('home', 'alice', 'state')
    const watch = scratch.watch({ exempt: [own, join(scratch.root, 'not', 'there')], sealsDir: join(own, 'seals') })
    const seal = await watch.seal({ content: false }, never)
    writeFileSync(join(own, 'ledger'), '')
    expect(await watch.verify(seal.seal_id, never)).toMatchObject({ unchanged: true })
    writeFileSync(join(beside, 'x'), '')
    expect(await watch.verify(seal.seal_id, never)).toMatchObject({ changes: 2 })
  })

  it('count directories that the operator may not read, and go on', async () => {
    using scratch = new Scratch()
    const closed = scratch.directory('home', 'alice', 'closed')
    writeFileSync(join(closed, 'secret'), '')
    writeFileSync(join(scratch.alice, 'unreadable'), 'x', { mode: 0 })
    chmodSync(closed, 0)
    const watch = scratch.watch()
    const seal = await watch.seal({ content: false }, never)
    expect(seal).toMatchObject({ entries: 4, unreadable: 1 })
    expect(await watch.verify(seal.seal_id, never)).toMatchObject({ unchanged: true, unreadable: 1 })
    expect(await watch.seal({ content: true }, never)).toMatchObject({ entries: 4, unreadable: 2 })
  })

  it('walk a home once that lies in another, follow no symlink, and record the link to a home', async () => {
    using scratch = new Scratch()
    const real = scratch.directory('disk', 'carol')
    writeFileSync(join(real, 'x'), '')
    symlinkSync(real, join(scratch.root, 'home', 'carol'))
    symlinkSync('/', join(scratch.alice, 'everything'))
    const inner = scratch.directory('home', 'bob', 'guests', 'dave')
    const watch = scratch.watch({ globs: [`${scratch.root}/home/*`, `${scratch.root}/home/bob/guests/*`] })
    const seal = await watch.seal({ content: false }, never)
    expect(seal.homes).toEqual([real, scratch.alice, scratch.bob, inner].sort())
    // carol's link, her home and a file; alice and her link; bob, guests, dave.
    expect(seal.entries).toBe(3 + 2 + 3)
    rmSync(join(scratch.root, 'home', 'carol'))
    expect(await watch.verify(seal.seal_id, never)).toMatchObject({
      changed: [{ path: join(scratch.root, 'home', 'carol'), what: 'removed' }],
    })
  })

  it('seal the paths that were named; one that is not there is a mistake', async () => {
    using scratch = new Scratch()
    const watch = scratch.watch()
    writeFileSync(join(scratch.root, 'one file'), '')
    const seal = await watch.seal({ paths: [join(scratch.root, 'one file'), scratch.bob], content: false }, never)
    expect(seal).toMatchObject({ homes: [scratch.bob, join(scratch.root, 'one file')], entries: 2 })
    expect(await rejection(watch.seal({ paths: [join(scratch.root, 'typo')], content: false }, never))).toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('typo'),
    })
  })

  it('seal nothing when there is no home, and notice the first one', async () => {
    using scratch = new Scratch()
    const watch = scratch.watch({ globs: [`${scratch.root}/empty/*`] })
    const seal = await watch.seal({ content: true }, never)
    expect(seal).toMatchObject({ homes: [], entries: 0, unreadable: 0 })
    expect(await watch.verify(seal.seal_id, never)).toMatchObject({ unchanged: true, entries: 0 })
  })

  it('are not held up by FIFOs and sockets, also when content is asked for', async () => {
    using scratch = new Scratch()
    spawnSync('mkfifo', [join(scratch.alice, 'fifo')])
    const watch = scratch.watch()
    const seal = await watch.seal({ content: true }, never)
    expect(seal).toMatchObject({ entries: 3, unreadable: 0 })
    expect(await watch.verify(seal.seal_id, never)).toMatchObject({ unchanged: true })
  })

  it('handle 20,000 entries, tell the first 10,000 changes in path order and count all, while files come and go', async () => {
    using scratch = new Scratch()
    for (let d = 0; d < 20; d += 1) {
      const directory = scratch.directory('home', 'alice', `d${d}`)
      for (let i = 0; i < 1000; i += 1) writeFileSync(join(directory, `file ${i}`), '')
    }
    const watch = scratch.watch()
    const sealing = watch.seal({ content: false }, never)
    // bob's files vanish and appear under the walk; alice's are what the numbers below are about.
    const busy = setInterval(() => {
      for (let i = 0; i < 20; i += 1) writeFileSync(join(scratch.bob, `f${i}`), '')
      for (let i = 0; i < 20; i += 1) unlinkSync(join(scratch.bob, `f${i}`))
    }, 2)
    const seal = await sealing.finally(() => clearInterval(busy))
    expect(seal.entries).toBeGreaterThanOrEqual(20_022)
    expect(seal.entries).toBeLessThanOrEqual(20_042)
    spawnSync('rm', ['-rf', scratch.alice])
    const { changes, changed, entries } = await watch.verify(seal.seal_id, never)
    expect(entries).toBe(1)
    expect(changes).toBeGreaterThanOrEqual(20_021)
    expect(changed).toHaveLength(10_000)
    const paths = changed.map(({ path }) => path)
    expect(paths).toEqual([...paths].sort())
  })
})

describe('seals on disk', () => {
  const sealed = async (scratch: Scratch) => {
    writeFileSync(join(scratch.alice, 'notes'), 'x')
    return scratch.watch().seal({ content: false }, never)
  }

  it('are private, and nothing else stays behind', async () => {
    using scratch = new Scratch()
    const { seal_id } = await sealed(scratch)
    await scratch.watch().verify(seal_id, never)
    expect(readdirSync(scratch.seals)).toEqual([seal_id])
    const directory = join(scratch.seals, seal_id)
    expect(readdirSync(directory).sort()).toEqual(['entries', 'seal.json'])
    const modes = [scratch.seals, directory, join(directory, 'entries'), join(directory, 'seal.json')].map(
      (path) => statSync(path).mode & 0o777,
    )
    expect(modes).toEqual([0o700, 0o700, 0o600, 0o600])
  })

  it('are found by a later pit, and gone when discarded, which may be repeated', async () => {
    using scratch = new Scratch()
    const { seal_id } = await sealed(scratch)
    const later = scratch.watch()
    expect(await later.verify(seal_id, never)).toMatchObject({ unchanged: true })
    await later.discard(seal_id)
    await later.discard(seal_id)
    expect(await rejection(later.verify(seal_id, never))).toMatchObject({ code: 'seal_not_found' })
  })

  it('cannot be asked for by anything but an id', async () => {
    using scratch = new Scratch()
    await sealed(scratch)
    const watch = scratch.watch()
    for (const id of [
      '',
      '..',
      'seal_unknown00',
      'seal_../../../home',
      '../home/alice',
      'seal_x\0yyyyyyyy',
      '__proto__',
    ]) {
      expect(await rejection(watch.verify(id, never)), id).toMatchObject({ code: 'seal_not_found' })
      await rejection(watch.discard(id))
    }
    expect(existsSync(join(scratch.alice, 'notes'))).toBe(true)
  })

  it.each([
    [
      'a record was changed',
      (dir: string) => {
        const path = join(dir, 'entries')
        const bytes = readFileSync(path)
        bytes[bytes.length - 10]! ^= 1
        writeFileSync(path, bytes)
      },
    ],
    ['the records were truncated', (dir: string) => truncateSync(join(dir, 'entries'), 50)],
    ['the records are gone', (dir: string) => unlinkSync(join(dir, 'entries'))],
    ['seal.json was truncated', (dir: string) => truncateSync(join(dir, 'seal.json'), 20)],
    ['seal.json is gone', (dir: string) => unlinkSync(join(dir, 'seal.json'))],
    [
      'seal.json is of another seal',
      (dir: string) => {
        const text = readFileSync(join(dir, 'seal.json'), 'utf8')
        writeFileSync(join(dir, 'seal.json'), text.replace(/seal_[A-Za-z0-9_-]{4}/, 'seal_AAAA'))
      },
    ],
  ])('say so when %s', async (_, damage) => {
    using scratch = new Scratch()
    const { seal_id } = await sealed(scratch)
    damage(join(scratch.seals, seal_id))
    const error = await rejection(scratch.watch().verify(seal_id, never))
    expect(error).toMatchObject({
      code: expect.stringMatching(/^seal_(damaged|not_found)$/),
      message: expect.stringContaining(seal_id),
    })
  })

  it('leave nothing when the work is aborted before or during it', async () => {
    using scratch = new Scratch()
    for (let i = 0; i < 500; i += 1) writeFileSync(join(scratch.alice, `f${i}`), '')
    const watch = scratch.watch()
    expect(await rejection(watch.seal({ content: true }, AbortSignal.abort('early')))).toBe('early')
    const during = new AbortController()
    const sealing = rejection(watch.seal({ content: true }, during.signal))
    setImmediate(() => during.abort('enough'))
    expect(await sealing).toBe('enough')
    expect(readdirSync(scratch.seals)).toEqual([])
  })

  it('are swept after a month, and so is what a killed pit left; work in progress is not', async () => {
    using scratch = new Scratch()
    const { seal_id } = await sealed(scratch)
    const old = join(scratch.seals, 'seal_old0000000')
    mkdirSync(old)
    utimesSync(old, 1, 1)
    mkdirSync(join(scratch.seals, 'scratch-killed'))
    const watch = scratch.watch()
    const [one, two] = await Promise.all([watch.seal({ content: false }, never), watch.seal({ content: false }, never)])
    expect(readdirSync(scratch.seals).sort()).toEqual([seal_id, one.seal_id, two.seal_id].sort())
  })

  it('tell a full disk as storage_full and leave nothing', () => {
    using scratch = new Scratch()
    for (let i = 0; i < 3000; i += 1)
      writeFileSync(join(scratch.alice, `a rather long name to fill the disk sooner ${i}`), '')
    const script = new URL('./seal-once.ts', import.meta.url).pathname
    const setUp = 'mkdir "$R/seals"; mount -t tmpfs -o size=256k tmpfs "$R/seals"; exec "$@"'
    const args = ['-Urm', 'sh', '-euc', setUp, 'sh', process.execPath, script, scratch.root]
    const child = spawnSync('unshare', args, { env: { PATH: process.env.PATH, R: scratch.root }, encoding: 'utf8' })
    expect(JSON.parse(child.stdout)).toEqual({ code: 'storage_full', left: [] })
  })
})
