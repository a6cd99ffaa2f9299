import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { hostGit, makeOrigin, TestBed } from '../workspace/support.ts'

export const CANARY = 'canary-7f3a9c-do-not-leak'

/** A bed whose home holds a secret file and a secret repository, and a marker that only host-side execution can create. */
export class AttackBed extends TestBed {
  readonly marker = this.path('marker')
  readonly secret = join(this.home, 'secret')
  readonly secretRepository = join(this.home, 'repo')
  readonly secretCommit: string

  constructor(overrides: ConstructorParameters<typeof TestBed>[0] = {}) {
    super(overrides)
    writeFileSync(this.secret, `${CANARY}\n`)
    makeOrigin(this.secretRepository, { 'secret.txt': `${CANARY}\n`, 'README.md': `${CANARY}\n` })
    this.secretCommit = hostGit(this.secretRepository, 'rev-parse', 'HEAD')
  }

  /** Whether something ran on the host. */
  get struck(): boolean {
    return existsSync(this.marker)
  }

  /** Every git object of the trusted repositories and every archive in the trash, unpacked. */
  everythingKept(): string {
    const repositories = readdirSync(this.missions).map((name) => join(this.missions, name, 'repository.git'))
    const objects = repositories
      .filter((path) => existsSync(path))
      .map((path) => hostGit(path, 'cat-file', '--batch-all-objects', '--batch', '--unordered'))
    return [...objects, ...this.archives().map((archive) => archive.toString('latin1'))].join('\n')
  }

  archives(): readonly Buffer[] {
    const directory = join(this.state, 'trash')
    if (!existsSync(directory)) return []
    const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.zst'))
    return files.map((name) => zstdDecompressSync(readFileSync(join(directory, name))))
  }

  /** Type, mode, size, times and content of everything in the home. */
  homeManifest(): string {
    const listing = execFileSync('find', [this.home, '-printf', '%y %m %s %T@ %C@ %p\n'], { encoding: 'utf8' })
    return listing.split('\n').toSorted().join('\n')
  }

  /**
   * Plain git on the host, as somebody would use it who trusts the worktree; it finds the origin's objects. Answers
   * what it printed, and whether it had to be stopped.
   */
  plainGit(cwd: string, args: readonly string[], seconds = 20): { readonly stdout: string; readonly hung: boolean } {
    const objects = readdirSync(join(this.state, 'repos')).map((name) => join(this.state, 'repos', name, 'objects'))
    const env = { PATH: '/usr/bin:/bin', HOME: '/nonexistent', GIT_ALTERNATE_OBJECT_DIRECTORIES: objects.join(':') }
    const done = spawnSync('timeout', ['-s', 'KILL', String(seconds), 'git', ...args], {
      cwd,
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return { stdout: done.stdout, hung: done.status === 137 || done.signal === 'SIGKILL' }
  }
}
