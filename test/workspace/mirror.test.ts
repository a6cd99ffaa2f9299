import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { commitFile, hostGit, makeOrigin, never, TestBed } from './support.ts'

let bed: TestBed
beforeEach(() => {
  bed = new TestBed()
})
afterEach(() => bed[Symbol.asyncDispose]())

const mirrors = () => (existsSync(join(bed.state, 'repos')) ? readdirSync(join(bed.state, 'repos')) : [])
const resolve = (repo: string, ref: string | null = null) => bed.workspace.resolve(repo, ref, never)
const made = (name: string, make: (path: string) => unknown): string => {
  make(bed.path(name))
  return bed.path(name)
}
const refusal = (code: string, text = '') => expect.objectContaining({ code, message: expect.stringContaining(text) })

describe('resolving a repository on this host', () => {
  it('finds the HEAD, branches, tags of both kinds, and commits by abbreviated id', async () => {
    const origin = makeOrigin(bed.path('origin'))
    const first = hostGit(origin, 'rev-parse', 'HEAD')
    hostGit(origin, 'tag', 'light')
    hostGit(origin, 'tag', '-a', 'heavy', '-m', 'heavy')
    hostGit(origin, 'branch', 'team/feature')
    const second = commitFile(origin, 'b', 'b')
    const commits = async (ref: string | null) => (await resolve(origin, ref)).commit
    expect(await commits(null)).toBe(second)
    expect(await commits('HEAD')).toBe(second)
    for (const ref of ['light', 'heavy', 'team/feature', 'refs/heads/team/feature', first, first.slice(0, 8)])
      expect(await commits(ref)).toBe(first)
    expect(mirrors()).toHaveLength(1)
  })

  it('takes a file URL, a bare repository, a linked worktree, a shared clone, a shallow one and a detached HEAD', async () => {
    const origin = makeOrigin(bed.path('origin'))
    commitFile(origin, 'b', 'b')
    const tip = hostGit(origin, 'rev-parse', 'HEAD')
    hostGit(origin, 'clone', '-q', '--bare', origin, bed.path('bare.git'))
    hostGit(origin, 'worktree', 'add', '-q', '--detach', bed.path('linked'))
    hostGit(origin, 'clone', '-q', '--shared', origin, bed.path('shared'))
    hostGit(origin, 'clone', '-q', '--depth=1', `file://${origin}`, bed.path('shallow'))
    for (const name of ['bare.git', 'linked', 'shared', 'shallow'])
      expect(await resolve(bed.path(name))).toMatchObject({ commit: tip })
    const own = hostGit(
      bed.path('linked'),
      '-c',
      'user.name=a',
      '-c',
      'user.email=b',
      'commit-tree',
      '-p',
      'HEAD',
      '-m',
      'own',
      'HEAD^{tree}',
    )
    hostGit(bed.path('linked'), 'checkout', '-q', own)
    expect(await resolve(`file://${bed.path('linked')}`)).toMatchObject({ commit: own, repo: bed.path('linked') })
    const seat = await bed.seat(bed.path('shallow'))
    expect(await seat.sh('git log --format=%s; git status --porcelain')).toBe('change b')
    await seat.sh('echo x > x; git add x; git commit -q -m x')
    expect(await bed.workspace.collect(seat.layer, never)).toMatchObject({
      outcome: 'delivered',
      commits: [{ subject: 'x' }],
    })
  })

  it('follows new commits, rewritten branches and branches that make way for others', async () => {
    const origin = makeOrigin(bed.path('origin'))
    hostGit(origin, 'branch', 'a')
    await resolve(origin, 'a')
    hostGit(origin, 'branch', '-D', 'a')
    hostGit(origin, 'branch', 'a/b')
    hostGit(origin, 'commit', '-q', '--amend', '-m', 'rewritten')
    expect((await resolve(origin)).commit).toBe(hostGit(origin, 'rev-parse', 'HEAD'))
    await resolve(origin, 'a/b')
    await expect(resolve(origin, 'a')).rejects.toThrow(refusal('ref_not_found', '"a"'))
  })

  it('is the same mirror for many at once', async () => {
    const origin = makeOrigin(bed.path('origin'))
    const bases = await Promise.all(Array.from({ length: 6 }, () => resolve(origin)))
    expect(new Set(bases.map((base) => base.commit)).size).toBe(1)
    expect(mirrors()).toHaveLength(1)
  })

  it.each([
    ['a path that does not exist', () => bed.path('nowhere'), 'repository_unavailable'],
    ['a directory that is no repository', () => made('plain', (path) => mkdirSync(path)), 'repository_unavailable'],
    ['a file', () => made('file', (path) => writeFileSync(path, '')), 'repository_unavailable'],
    [
      'a repository without a commit',
      () => made('empty', (path) => hostGit(bed.root, 'init', '-q', path)),
      'ref_not_found',
    ],
    [
      'sha256 objects',
      () => made('sha256', (path) => hostGit(bed.root, 'init', '-q', '--object-format=sha256', path)),
      'repository_unavailable',
    ],
  ])('refuses %s and leaves nothing', async (_name, path, code) => {
    await expect(resolve(path())).rejects.toThrow(refusal(code))
    expect(mirrors()).toEqual([])
  })

  it('refuses a ref that does not exist, with the reason of git, and leaves nothing', async () => {
    const origin = makeOrigin(bed.path('origin'))
    const error = await resolve(origin, 'no-such').catch((e) => e)
    expect(error).toMatchObject({
      code: 'ref_not_found',
      details: { ref: 'no-such', reason: expect.stringContaining('fatal') },
    })
    expect(mirrors()).toEqual([])
  })

  it('refuses a damaged repository', async () => {
    const origin = makeOrigin(bed.path('origin'))
    const blob = hostGit(origin, 'rev-parse', 'HEAD:README.md')
    execFileSync('rm', ['-f', join(origin, '.git/objects', blob.slice(0, 2), blob.slice(2))])
    await expect(resolve(origin)).rejects.toThrow(refusal('repository_unavailable'))
    expect(mirrors()).toEqual([])
  })
})

describe('homes', () => {
  it('are refused: the path itself, what lies in it, what contains it, and through symlinks', async () => {
    makeOrigin(join(bed.home, 'repo'))
    symlinkSync(join(bed.home, 'repo'), bed.path('link'))
    symlinkSync(bed.home, bed.path('link-to-home'))
    for (const path of [
      bed.home,
      join(bed.home, 'repo'),
      bed.root,
      bed.path('link'),
      bed.path('link-to-home/repo'),
      `${bed.path('x')}/../homes/ada/repo`,
    ]) {
      await expect(resolve(path)).rejects.toThrow(refusal('home_mount_refused'))
      await expect(resolve(`file://${path}`)).rejects.toThrow(refusal('home_mount_refused'))
    }
  })

  it.each([
    [
      'a .git pointer file',
      (repository: string, secret: string) => writeFileSync(join(repository, '.git'), `gitdir: ${secret}/.git\n`),
    ],
    [
      'a .git symlink',
      (repository: string, secret: string) => symlinkSync(join(secret, '.git'), join(repository, '.git')),
    ],
  ])('are refused behind %s', async (_name, plant) => {
    const secret = makeOrigin(join(bed.home, 'repo'))
    const repository = bed.path('trap')
    mkdirSync(repository)
    plant(repository, secret)
    expect(hostGit(repository, 'log', '--format=%s')).toBe('first') // positive control: plain git goes there
    await expect(resolve(repository)).rejects.toThrow(refusal('home_mount_refused'))
  })

  it('are refused behind alternates and a shared git directory', async () => {
    const secret = makeOrigin(join(bed.home, 'repo'))
    const id = hostGit(secret, 'rev-parse', 'HEAD')
    const trap = makeOrigin(bed.path('trap'))
    writeFileSync(join(trap, '.git/objects/info/alternates'), `${secret}/.git/objects\n`)
    writeFileSync(join(trap, '.git/refs/heads/stolen'), `${id}\n`)
    hostGit(bed.root, 'clone', '-q', '--no-local', trap, bed.path('leak'))
    expect(hostGit(bed.path('leak'), 'cat-file', '-t', id)).toBe('commit') // positive control: a plain clone leaks
    await expect(resolve(trap, 'stolen')).rejects.toThrow(refusal('home_mount_refused'))
    const other = makeOrigin(bed.path('other'))
    writeFileSync(join(other, '.git/commondir'), `${secret}/.git\n`)
    await expect(resolve(other)).rejects.toThrow(refusal('home_mount_refused'))
  })

  it('do not exist in the airlock for what git finds by itself (objects behind a symlink)', async () => {
    const secret = makeOrigin(join(bed.home, 'repo'))
    const trap = makeOrigin(bed.path('trap'))
    execFileSync('rm', ['-rf', join(trap, '.git/objects')])
    symlinkSync(join(secret, '.git/objects'), join(trap, '.git/objects'))
    appendFileSync(join(trap, '.git/config'), `[include]\n\tpath = ${bed.home}/repo/.git/config\n`)
    expect(hostGit(trap, 'cat-file', '-t', hostGit(secret, 'rev-parse', 'HEAD'))).toBe('commit')
    await expect(resolve(trap)).rejects.toThrow(refusal('repository_unavailable'))
  })
})

it('runs no program that a local repository configures', async () => {
  const origin = makeOrigin(bed.path('origin'))
  const marker = bed.path('marker')
  writeFileSync(join(origin, '.git/attack'), `#!/bin/sh\ntouch ${marker}\nexec "$@"\n`, { mode: 0o755 })
  for (const key of ['core.fsmonitor', 'core.sshCommand', 'uploadpack.packObjectsHook', 'core.alternateRefsCommand'])
    hostGit(origin, 'config', key, join(origin, '.git/attack'))
  hostGit(origin, 'status')
  expect(readdirSync(bed.root)).toContain('marker') // positive control
  execFileSync('rm', [marker])
  await resolve(origin)
  expect(readdirSync(bed.root)).not.toContain('marker')
})

describe('resolving over the network', () => {
  it('fetches by the git protocol, follows changes, and reports what is missing', async () => {
    const origin = makeOrigin(bed.path('served/origin'))
    const side = commitFile(origin, 'side', 'side')
    hostGit(origin, 'reset', '-q', '--hard', 'HEAD~1')
    hostGit(origin, 'config', 'uploadpack.allowAnySHA1InWant', 'true')
    await using daemon = await gitDaemon(bed.path('served'))
    const url = `git://127.0.0.1:${daemon.port}/origin`
    expect(await resolve(url)).toMatchObject({ repo: url, commit: hostGit(origin, 'rev-parse', 'HEAD') })
    expect(await resolve(url, side)).toMatchObject({ commit: side })
    const tip = commitFile(origin, 'b', 'b')
    hostGit(origin, 'tag', 'v1')
    expect(await resolve(url, 'v1')).toMatchObject({ commit: tip })
    await expect(resolve(url, 'nope')).rejects.toThrow(refusal('ref_not_found'))
    await expect(resolve(`git://127.0.0.1:${daemon.port}/none`)).rejects.toThrow(refusal('repository_unavailable'))
    expect(mirrors()).toHaveLength(1)
    const seat = await bed.seat(url)
    expect(await seat.sh('git branch -r; git remote get-url origin')).toBe(`origin/main\n${url}`)
  })

  it('sends credentials in a header, and keeps them out of arguments, errors and files', async () => {
    const seen: (string | undefined)[] = []
    const server = createServer((request, reply) => {
      seen.push(request.headers.authorization)
      reply.writeHead(401).end()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const { port } = server.address() as AddressInfo
      const error = await resolve(`http://ada:hunter2@127.0.0.1:${port}/a.git`).catch((e) => e)
      expect(error).toMatchObject({ code: 'repository_unavailable' })
      expect(JSON.stringify([error.message, error.details])).not.toMatch(/hunter2|ada:/)
      expect(seen[0]).toBe(`Basic ${btoa('ada:hunter2')}`)
      expect(spawnSync('grep', ['-r', 'hunter2', bed.state]).status).toBe(1)
    } finally {
      server.close()
    }
  })
})

async function gitDaemon(directory: string) {
  for (let port = 20_000 + (process.pid % 20_000); ; port += 1) {
    const child = spawn(
      'git',
      [
        'daemon',
        '--verbose',
        '--export-all',
        `--base-path=${directory}`,
        '--listen=127.0.0.1',
        `--port=${port}`,
        '--reuseaddr',
        directory,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'], detached: true },
    )
    const ready = await new Promise<boolean>((resolve) => {
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        if (/Ready to rumble/.test(text)) resolve(true)
      })
      child.once('exit', () => resolve(false))
    })
    if (!ready) continue
    return {
      port,
      async [Symbol.asyncDispose]() {
        const gone = once(child, 'exit')
        process.kill(-child.pid!)
        await gone
      },
    }
  }
}
