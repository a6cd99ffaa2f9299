import { execFileSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { OwnPodman } from '../../support/own-podman.ts'
import { openHarness, type PodmanHarness } from './harness.ts'

const DAY_MS = 86_400_000
const CELL = { image: null, containerfile: null }

/** In a store of its own: a sweep looks at every image of the user. */
describe('level_3 images that nobody uses', () => {
  let podman: OwnPodman
  let harness: PodmanHarness
  let later_ms = 0
  beforeAll(async () => {
    podman = new OwnPodman()
    harness = await openHarness(undefined, {
      environment: podman.environment,
      runtimeDir: mkdtempSync(join(podman.environment.XDG_RUNTIME_DIR, 'pit-')),
      clock: { now: () => Date.now() + later_ms, monotonic: () => performance.now() },
      cellTag: async () => 'localhost/lazarus-cell:present',
    })
  })
  afterAll(async () => {
    await harness?.[Symbol.asyncDispose]()
    podman?.[Symbol.dispose]()
  })
  beforeEach(() => {
    days(1) // more than one sweep a day does nothing
    podman.run('rm', '--force', '--all')
    podman.run('rmi', '--force', '--all')
  })

  const days = (count: number) => {
    later_ms += count * DAY_MS
  }
  const sweep = (...policies: { image: string | null; containerfile: string | null }[]) =>
    harness.driver.images!.sweep(policies)
  const names = () =>
    podman.run('images', '--format', '{{.Repository}}:{{.Tag}}').split('\n').filter(Boolean).toSorted()

  /** Each differs from the others in one file. */
  function make(name: string, ...changes: string[]): string {
    const file = join(podman.directory, 'content')
    writeFileSync(file, name)
    execFileSync('tar', ['-cf', `${file}.tar`, '-C', podman.directory, 'content'])
    return podman.run('import', '--quiet', ...changes.flatMap((text) => ['--change', text]), `${file}.tar`, name)
  }

  it('go a week after their last use, the present cell image and those of others never', async () => {
    const mine = ['built:a', 'cell:old', 'cell:present', 'pit:old'].map((name) => `localhost/lazarus-${name}`)
    const others = ['localhost/lazarus-built-by-somebody:a', 'localhost/mine:latest']
    for (const name of [...mine, ...others]) make(name)
    make('localhost/lazarus-built:also-mine')
    podman.run('tag', 'localhost/lazarus-built:also-mine', 'localhost/of-somebody:too')
    const all = names()
    await sweep()
    days(6)
    await sweep()
    expect(names(), 'not yet').toEqual(all)
    days(2)
    await sweep()
    const kept = [...others, 'localhost/lazarus-built:also-mine', 'localhost/of-somebody:too']
    expect(names()).toEqual([...kept, 'localhost/lazarus-cell:present'].toSorted())
  })

  it('stay while a mission means them, or a container has them, and count anew from then', async () => {
    const [meant, contained] = ['localhost/lazarus-built:meant', 'localhost/lazarus-built:contained'] as const
    for (const name of [meant, contained]) make(name)
    podman.run('create', '--name', 'holder', contained, 'true')
    for (let week = 0; week < 2; week += 1) {
      await sweep({ image: meant, containerfile: null })
      days(8)
    }
    await sweep({ image: meant, containerfile: null })
    expect(names()).toEqual([contained, meant])
    podman.run('rm', 'holder')
    days(2)
    await sweep()
    expect(names(), 'both were used within the week').toEqual([contained, meant])
    days(6)
    await sweep()
    expect(names()).toEqual([])
  })

  it('stay as long as another image is made from them', async () => {
    const base = 'localhost/lazarus-cell:base'
    make(base)
    const containerfile = join(podman.directory, 'Containerfile')
    writeFileSync(containerfile, `FROM ${base}\nCOPY Containerfile /\n`)
    podman.run('build', '--quiet', '--tag', 'localhost/mine:1', '--file', containerfile, podman.directory)
    await sweep()
    days(8)
    await sweep()
    expect(names()).toEqual([base, 'localhost/mine:1'])
    podman.run('rmi', 'localhost/mine:1')
    days(1)
    await sweep()
    expect(names()).toEqual([])
  })

  it('go when a rebuild took their name', async () => {
    const label = 'LABEL org.lazarus-pit.cell=present'
    make('localhost/lazarus-cell:present', label)
    podman.run('untag', 'localhost/lazarus-cell:present')
    make('localhost/lazarus-cell:present', label, 'ENV CHANGED=yes')
    await sweep(CELL)
    expect(podman.run('images', '--quiet').split('\n')).toHaveLength(2)
    days(8)
    await sweep(CELL)
    expect(podman.run('images', '--quiet').split('\n')).toHaveLength(1)
    expect(names()).toEqual(['localhost/lazarus-cell:present'])
  })
})
