import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { GIT_ENVIRONMENT, hostGit, makeOrigin, never, type TestSeat } from '../workspace/support.ts'
import { AttackBed, CANARY } from './workspace-support.ts'

let bed: AttackBed
beforeEach(() => {
  bed = new AttackBed()
})
afterEach(() => bed[Symbol.asyncDispose]())

/** Everything the pit does with a layer; what is refused is an answer too. */
async function useEverything({ layer }: TestSeat): Promise<string> {
  const { workspace } = bed
  const answers = await Promise.allSettled([
    workspace.collect(layer, never),
    workspace.diff(layer, 1e6, never).then(({ text }) => Buffer.from(text).toString('utf8')),
    workspace.uncollected(layer, never),
    workspace.usage(layer.seat),
    workspace.discardToTrash(layer, never),
  ])
  const told = answers.map((answer) =>
    answer.status === 'fulfilled' ? answer.value : { code: answer.reason.code, message: answer.reason.message },
  )
  await workspace.removeSeat(layer.seat)
  return JSON.stringify(told)
}

/** Attacks that run a program of the agent: `plant` prepares the worktree, `trigger` is what plain git on the host would do. */
const EXECUTIONS: readonly (readonly [name: string, plant: (touch: string) => string, trigger: readonly string[]])[] = [
  [
    'a clean filter',
    (touch) => `git config filter.evil.clean '${touch}; cat'; echo '* filter=evil' > .gitattributes; echo x > new`,
    ['add', '-A'],
  ],
  [
    'a process filter',
    (touch) => `git config filter.evil.process '${touch}; false'; echo '* filter=evil' > .gitattributes; echo x > new`,
    ['add', '-A'],
  ],
  [
    'a file system monitor',
    (touch) => `printf '#!/bin/sh\\n${touch}\\n' > .git/m; chmod +x .git/m; git config core.fsmonitor "$1/.git/m"`,
    ['status'],
  ],
  ['an external diff', (touch) => `git config diff.external '${touch}; :'; echo x >> README.md`, ['diff']],
  [
    'a text converter',
    (touch) =>
      `git config diff.evil.textconv '${touch}; cat'; echo '* diff=evil' > .gitattributes; echo x >> README.md`,
    ['diff'],
  ],
  [
    'a hook',
    (touch) =>
      `mkdir -p .git/hooks; printf '#!/bin/sh\\n${touch}\\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit; echo x >> README.md`,
    ['-c', 'user.name=a', '-c', 'user.email=a@b', 'commit', '-am', 'x'],
  ],
  [
    'a signature checker',
    (
      touch,
    ) => `printf '#!/bin/sh\\n${touch}\\n' > .git/g; chmod +x .git/g; git config gpg.program "$1/.git/g"; git config log.showSignature true
      { echo "tree $(git rev-parse 'HEAD^{tree}')"; echo "parent $(git rev-parse HEAD)"; echo 'author a <a@b> 1 +0000'; echo 'committer a <a@b> 1 +0000'; echo 'gpgsig -----BEGIN PGP SIGNATURE-----'; echo ' x'; echo ' -----END PGP SIGNATURE-----'; echo; echo m; } > /tmp/c
      git update-ref refs/heads/mission/builder $(git hash-object -t commit -w /tmp/c)`,
    ['log'],
  ],
  [
    'a submodule of its own',
    (
      touch,
    ) => `git init -q sub; (cd sub; echo x > f; git add f; git -c user.name=a -c user.email=a@b commit -q -m s); git add sub; git commit -q -m sub
      (cd sub; printf '#!/bin/sh\\n${touch}\\n' > .git/m; chmod +x .git/m; git config core.fsmonitor "$1/sub/.git/m")`,
    ['status'],
  ],
]

describe.each(EXECUTIONS)('%s of the agent', (_name, plant, trigger) => {
  it('runs where plain git is used on the host (positive control)', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')), { mode: 'clone' })
    const tree = join(seat.directory, 'tree')
    await seat.sh(`set -- ${tree}\n${plant(`touch ${bed.marker}`)}`)
    bed.plainGit(tree, trigger)
    expect(bed.struck).toBe(true)
  })

  it('never runs on the host', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    const homes = bed.homeManifest()
    await seat.sh(`set -- /workspace\n${plant(`touch ${bed.marker}`)}`)
    await useEverything(seat)
    expect(bed.struck).toBe(false)
    expect(bed.homeManifest()).toBe(homes)
  })
})

/** Attacks that make git read what belongs to a home. `probe` shows the canary when plain git runs on the host. */
const READS: readonly (readonly [name: string, plant: (bed: AttackBed) => string, probe: readonly string[]])[] = [
  ['a .git pointer file', (b) => `rm -rf .git; echo 'gitdir: ${b.secretRepository}/.git' > .git`, ['show', 'HEAD']],
  ['a .git symlink', (b) => `rm -rf .git; ln -s '${b.secretRepository}/.git' .git`, ['show', 'HEAD']],
  [
    'alternates to a home',
    (b) =>
      `mkdir -p .git/objects/info; echo '${b.secretRepository}/.git/objects' > .git/objects/info/alternates; echo ${b.secretCommit} > .git/refs/heads/mission/builder`,
    ['show', 'mission/builder'],
  ],
  ['core.worktree in a home', (b) => `git config core.worktree '${b.secretRepository}'`, ['diff']],
  [
    'a shared git directory in a home',
    (b) => `echo '${b.secretRepository}/.git' > .git/commondir; echo ${b.secretCommit} > .git/HEAD`,
    ['show', 'HEAD'],
  ],
]

describe.each(READS)('%s', (_name, plant, probe) => {
  it('leads plain git on the host into the home (positive control)', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')), { mode: 'clone' })
    await seat.sh(plant(bed))
    expect(bed.plainGit(join(seat.directory, 'tree'), probe).stdout).toContain(CANARY)
  })

  it.each(['overlay', 'clone'] as const)('leads nowhere in the airlock (%s)', async (mode) => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')), { mode })
    const homes = bed.homeManifest()
    await seat.sh(plant(bed))
    expect(await useEverything(seat)).not.toContain(CANARY)
    expect(bed.everythingKept()).not.toContain(CANARY)
    expect(bed.homeManifest()).toBe(homes)
  })
})

describe('FIFOs that git would open', () => {
  const plant =
    'for f in .gitignore .gitmodules .mailmap d/.gitignore d/.gitattributes; do mkdir -p d; rm -f $f; mkfifo $f; done; echo x > new'

  it('hang plain git on the host (positive control)', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')), { mode: 'clone' })
    await seat.sh(plant)
    expect(bed.plainGit(join(seat.directory, 'tree'), ['status'], 2).hung).toBe(true)
  })

  it.each(['overlay', 'clone'] as const)('do not keep committed work from being collected (%s)', async (mode) => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')), { mode })
    await seat.sh(`echo y > done; git add done; git commit -q -m done; ${plant}`)
    const collection = await bed.workspace.collect(seat.layer, never)
    expect(collection).toMatchObject({ outcome: 'delivered', commits: [{ subject: 'done' }] })
    expect(collection.uncommitted).toContain('new')
    expect(Buffer.from((await bed.workspace.diff(seat.layer, 1e6, never)).text).toString()).toContain('+++ b/new')
  })

  it.each(['config', 'HEAD', 'index', 'packed-refs', 'info/exclude'])(
    'in the git directory (%s) end in an answer',
    async (name) => {
      const seat = await bed.seat(makeOrigin(bed.path('origin')))
      await seat.sh(`rm -f .git/${name}; mkdir -p .git/info; mkfifo .git/${name}`)
      expect(await useEverything(seat)).toBeTypeOf('string')
      expect(existsSync(seat.directory)).toBe(false)
    },
  )

  it('in great number are refused, not mounted over one by one', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh('i=0; while [ $i -lt 600 ]; do mkfifo f$i; i=$((i+1)); done')
    await expect(bed.workspace.collect(seat.layer, never)).rejects.toMatchObject({
      code: 'bundle_refused',
      message: expect.stringContaining('600 FIFOs'),
    })
    expect(await bed.workspace.uncollected(seat.layer, never)).toEqual({ commits: 0, paths: ['.git'] })
  })
})

describe('objects that no honest git makes', () => {
  const evil = (entry: string) => `
    blob=$(echo '[remote "x"]' | git hash-object -w --stdin)
    tree=$(printf '100644 ${entry}\\0%b' "$(echo $blob | sed 's/../\\\\x&/g')" | git hash-object -t tree -w --literally --stdin)
    git update-ref refs/heads/mission/builder $(git commit-tree $tree -p HEAD -m evil)`

  it.each(['.git', '..', 'a/b'])('a tree entry named %s is refused, and nothing of it stays', async (entry) => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh(`exec bash -c '${evil(entry).replaceAll("'", "'\\''")}'`)
    await expect(bed.workspace.collect(seat.layer, never)).rejects.toMatchObject({ code: 'bundle_refused' })
    expect(hostGit(seat.trusted, 'for-each-ref', 'refs/heads')).toBe('')
    expect(hostGit(seat.trusted, 'count-objects', '-v')).toMatch(/count: 0\n[\s\S]*packs: 0/)
  })

  it('are taken by a plain fetch of a bundle (positive control)', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh(`exec bash -c '${evil('..').replaceAll("'", "'\\''")}'`)
    await seat.sh('git bundle create -q /artifacts/evil.bundle mission/builder')
    const victim = makeOrigin(bed.path('victim'))
    const bundle = bed.path('missions', seat.layer.seat.mission_id, 'artifacts/builder/evil.bundle')
    hostGit(victim, 'fetch', '-q', bundle, 'mission/builder:evil')
    expect(hostGit(victim, 'ls-tree', 'evil')).toContain('\t..')
  })

  it('a submodule URL that is an option is refused', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh(
      `printf '[submodule "x"]\\n\\tpath = x\\n\\turl = -utouch${bed.marker}\\n' > .gitmodules; git add -A; git commit -q -m sub`,
    )
    await expect(bed.workspace.collect(seat.layer, never)).rejects.toMatchObject({
      code: 'bundle_refused',
      message: expect.stringContaining('gitmodules'),
    })
  })

  it('missing objects are refused', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh(
      'echo gone > gone; git add gone; git commit -q -m gone; rm -f .git/objects/$(git rev-parse HEAD:gone | sed "s/../&\\//")',
    )
    await expect(bed.workspace.collect(seat.layer, never)).rejects.toMatchObject({ code: 'bundle_refused' })
    expect(hostGit(seat.trusted, 'for-each-ref', 'refs/heads')).toBe('')
  })

  it('more bytes than allowed are refused, and nothing of them stays', async () => {
    await using small = new AttackBed({ limits: { collect_bytes: 100_000 } })
    const seat = await small.seat(makeOrigin(small.path('origin')))
    await seat.sh('head -c 1000000 /dev/urandom > big; git add big; git commit -q -m big')
    await expect(small.workspace.collect(seat.layer, never)).rejects.toMatchObject({ code: 'limit_exceeded' })
    expect(hostGit(seat.trusted, 'count-objects', '-v')).toMatch(/packs: 0/)
  })
})

describe('an origin whose trees lead out of the checkout', () => {
  const plant = (entries: string) => `
    blob=$(echo planted | git hash-object -w --stdin); link=$(printf '${'$'}HOME_PATH' | git hash-object -w --stdin)
    raw() { echo $1 | sed 's/../\\\\x&/g'; }
    inner=$(printf "100644 planted\\0$(raw $blob)" | git hash-object -t tree -w --literally --stdin)
    tree=$(printf "${entries}" | git hash-object -t tree -w --literally --stdin)
    git update-ref refs/heads/main $(git commit-tree $tree -m evil)`

  it.each([
    ['a .git directory', '40000 .git\\0$(raw $inner)'],
    ['a parent directory', '40000 ..\\0$(raw $inner)'],
    ['a symlink and a directory of one name', '120000 out\\0$(raw $link)40000 out\\0$(raw $inner)'],
  ])('plants nothing (%s)', async (_name, entries) => {
    const origin = makeOrigin(bed.path('origin'))
    execFileSync('bash', ['-c', plant(entries).replaceAll('$HOME_PATH', bed.home)], {
      cwd: origin,
      env: GIT_ENVIRONMENT,
    })
    expect(hostGit(origin, 'log', '-1', '--format=%s')).toBe('evil')
    const homes = bed.homeManifest()
    await bed.workspace.resolve(origin, null, never).catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'repository_unavailable' })
    })
    expect(bed.homeManifest()).toBe(homes)
    const planted = execFileSync('find', [bed.state, '-name', 'planted', '-path', '*.git/*'], { encoding: 'utf8' })
    expect(planted).toBe('')
  })
})
