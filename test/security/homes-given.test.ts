import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SandboxSpec } from '../../src/ports/cell-driver.ts'
import { never } from '../conformance/cell-driver/trial.ts'
import { openHarness } from '../drivers/shared/harness.ts'
import { git } from '../support/repository.ts'
import { ROOT } from '../support/source-tree.ts'
import { LEVELS, Stage } from './stage.ts'

/** A home that an operator, or a program that speaks for one, hands to the pit by mistake or by design. */
let stage: Stage
let elsewhere: string
beforeAll(async () => {
  stage = await Stage.open()
  elsewhere = mkdtempSync('/var/tmp/elsewhere-')
  for (const place of [join(stage.home, 'checkout'), join(elsewhere, 'checkout')]) {
    mkdirSync(place)
    writeFileSync(join(place, 'secret'), `${stage.canary}\n`)
    writeFileSync(
      join(place, 'Containerfile'),
      `FROM ${execFileSync(join(ROOT, 'images/cell/tag'), { encoding: 'utf8' }).trim()}\nCOPY . /stolen\n`,
    )
    await git(place, 'init', '-q', '-b', 'main')
    await git(place, 'add', '-A')
    await git(place, 'commit', '-qm', 'Everything')
  }
  symlinkSync(stage.home, join(elsewhere, 'friend'))
  symlinkSync(join(stage.home, 'checkout', '.git'), join(elsewhere, 'friend.git'))
})
afterAll(async () => {
  await stage?.[Symbol.asyncDispose]()
  rmSync(elsewhere, { recursive: true, force: true })
})

const refusal = async (request: object) => {
  const { status, body } = await stage.call('POST', '/v1/missions', { mission_name: 'given', ...request })
  return [status, body.error?.code]
}

describe.each(LEVELS)('a home given to a mission of %s', (isolation_level) => {
  const given: readonly (readonly [what: string, path: () => string])[] = [
    ['itself', () => stage.home],
    ['a checkout in it', () => join(stage.home, 'checkout')],
    ['what contains it', () => stage.pit.homesDir],
    ['as a URL', () => `file://${join(stage.home, 'checkout')}`],
    ['as a URL of this host', () => `file://localhost${join(stage.home, 'checkout')}`],
    ['with escapes', () => `file://${join(stage.home, 'checkout').replaceAll('/a', '/%61')}`],
    ['through a symlink', () => join(elsewhere, 'friend', 'checkout')],
    ['as a git directory through a symlink', () => join(elsewhere, 'friend.git')],
    ['through ..', () => join(elsewhere, '..', '..', stage.home, 'checkout')],
    ['through /proc', () => `/proc/self/root${join(stage.home, 'checkout')}`],
  ]
  it.each(given)('as the repository, %s, is refused', async (_, path) => {
    const [status, code] = await refusal({ isolation_level, repo: path() })
    expect([400, 422]).toContain(status)
    expect(['home_mount_refused', 'repository_unavailable']).toContain(code)
  })

  it('as a ref is no ref', async () => {
    for (const ref of [join(stage.home, 'checkout'), `../../../../../..${stage.home}/checkout/.git/HEAD`]) {
      expect(['invalid_request', 'ref_not_found']).toContain(
        (await refusal({ isolation_level, repo: stage.repository.path, ref }))[1],
      )
    }
  })

  it('as the place of a Containerfile is refused', async () => {
    for (const place of [join(stage.home, 'checkout'), join(elsewhere, 'friend', 'checkout'), stage.pit.homesDir]) {
      expect(await refusal({ isolation_level, policy: { containerfile: join(place, 'Containerfile') } })).toEqual([
        422,
        'home_mount_refused',
      ])
    }
  })

  it('the same outside of a home is a good repository (positive control)', async () => {
    const mission = await stage.mission(isolation_level, { repo: join(elsewhere, 'checkout') })
    expect((await (await mission.seat('eve')).sh('cat secret')).stdout).toBe(`${stage.canary}\n`)
    await mission.destroy()
  })
})

it('level_3: a home given as an image is no image', async () => {
  for (const image of [
    stage.home,
    `dir:${stage.home}`,
    `oci:${stage.home}`,
    `docker-archive:${stage.home}/secret`,
    `containers-storage:${stage.home}`,
  ]) {
    const { status, body } = await stage.call('POST', '/v1/missions', {
      mission_name: 'image',
      isolation_level: 'level_3',
      policy: { image },
    })
    expect([status, body.error.code], image).toEqual([400, 'image_unavailable'])
  }
})

it('level_3: a Containerfile shows what lies beside it (positive control)', async () => {
  const label = `lazarus.test=${stage.pit.pid}`
  const place = join(elsewhere, 'context')
  cpSync(join(elsewhere, 'checkout'), place, { recursive: true })
  writeFileSync(
    join(place, 'Containerfile'),
    `FROM ${execFileSync(join(ROOT, 'images/cell/tag'), { encoding: 'utf8' }).trim()}\nLABEL ${label}\nCOPY . /stolen\n`,
  )
  const mission = await stage.mission('level_3', { policy: { containerfile: join(place, 'Containerfile') } })
  try {
    expect((await (await mission.seat('eve')).sh('cat /stolen/secret')).stdout).toBe(`${stage.canary}\n`)
  } finally {
    await mission.destroy()
    const images = execFileSync('podman', ['images', '--all', '--quiet', '--no-trunc', '--filter', `label=${label}`], {
      encoding: 'utf8',
    })
    for (const id of new Set(images.split('\n').filter(Boolean)))
      execFileSync('podman', ['rmi', '--force', id], { stdio: 'ignore' })
  }
})

describe('level_1, which shows the host', () => {
  it('does not show the home of the operator', async () => {
    const mission = await stage.mission('level_1')
    const eve = await mission.seat('eve')
    const home = process.env.HOME!
    expect(readdirSync(home).length, 'positive control').toBeGreaterThan(0)
    expect(
      await eve.sh(
        'ls -A "$1" 2>/dev/null; ls -A "/proc/1/root$1" 2>/dev/null; cat /etc/debian_version /etc/os-release | head -c 1 | wc -c',
        home,
      ),
    ).toMatchObject({ stdout: '1\n' })
    await mission.destroy()
  })

  it('hides a home by itself, also where no mask of the policy covers it', async () => {
    await using harness = await openHarness('level_1')
    const spec = await harness.spec({ policy: { masks: [] } })
    const seen = async (hidden_paths: readonly string[]): Promise<string> => {
      const bare: SandboxSpec = { ...spec, hidden_paths }
      const { handle } = await harness.driver.spawn(bare, never)
      const output: Uint8Array[] = []
      const exec = {
        command: ['cat', join(spec.hidden_paths[0]!, 'secret')],
        environment: spec.environment,
        cwd: '/',
        stdin: null,
      }
      await harness.driver.exec(
        { handle, spec: bare },
        exec,
        (_, data) => void output.push(Uint8Array.from(data)),
        never,
      )
      await harness.driver.destroy(handle)
      return Buffer.concat(output).toString()
    }
    expect(await seen([]), 'positive control: nothing hides it').toContain('canary')
    expect(await seen(spec.hidden_paths)).not.toContain('canary')
  })
})
