import { execFileSync } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { never } from '../../conformance/cell-driver/trial.ts'
import { openHarness, type PodmanHarness } from './harness.ts'

const podman = (...args: string[]) => execFileSync('podman', args, { encoding: 'utf8' })
/** Others may make images at the same time: ours bear a label. */
const LABEL = `lazarus.test=${process.pid}`
const images = () =>
  podman('images', '--all', '--quiet', '--no-trunc', '--filter', `label=${LABEL}`).split('\n').filter(Boolean)

describe('level_3 podman images', () => {
  let harness: PodmanHarness
  let cell: string
  beforeAll(async () => {
    harness = await openHarness()
    cell = await harness.deps.cellTag()
  })
  afterEach(async () => {
    expect(await harness.leftovers()).toEqual([])
  })
  afterAll(async () => {
    for (const id of new Set(images())) podman('rmi', '--force', id)
    await harness[Symbol.asyncDispose]()
  })

  async function context(containerfile: string, files: Record<string, string> = {}): Promise<string> {
    const directory = join(harness.deps.root, `context-${Math.random().toString(36).slice(2)}`)
    await mkdir(directory)
    for (const [name, text] of Object.entries({ ...files, Containerfile: containerfile })) {
      await writeFile(join(directory, name), text)
    }
    return join(directory, 'Containerfile')
  }

  const spawn = async (policy: { image?: string; containerfile?: string }, command: string[]) => {
    const spec = await harness.spec({ command, policy })
    return { spec, handle: (await harness.driver.spawn(spec, never)).handle }
  }

  it('builds the image of a Containerfile once, and runs the agent in it', async () => {
    const containerfile = await context(
      `FROM ${cell}\nLABEL ${LABEL}\nCOPY greeting /opt/greeting\nENV FROM_IMAGE=leak\n`,
      {
        greeting: 'built\n',
      },
    )
    const { spec, handle } = await spawn({ containerfile }, ['sleep', 'infinity'])
    const exec = {
      command: ['/bin/sh', '-c', 'cat /opt/greeting; echo "[$FROM_IMAGE]"'],
      environment: {},
      cwd: '/',
      stdin: null,
    }
    const output: string[] = []
    await harness.driver.exec(
      { handle, spec },
      exec,
      (_, data) => void output.push(Buffer.from(data).toString()),
      never,
    )
    expect(output.join('')).toBe('built\n[]\n')
    await harness.driver.destroy(handle)
    const built = images()
    expect(built, 'no images in between').toHaveLength(1)
    await harness.driver.destroy((await spawn({ containerfile }, ['true'])).handle)
    expect(images(), 'not built again').toEqual(built)
    await writeFile(join(containerfile, '..', 'greeting'), 'changed\n')
    await harness.driver.destroy((await spawn({ containerfile }, ['true'])).handle)
    expect(images().length, 'another content, another image').toBe(built.length + 1)
  })

  it('runs the agent, not what the image would run, as the agent, without volumes', async () => {
    const containerfile = await context(
      `FROM ${cell}\nLABEL ${LABEL}\nUSER root\nENTRYPOINT ["/bin/false"]\nCMD ["wrong"]\nVOLUME /data\nHEALTHCHECK CMD false\n`,
    )
    const { spec, handle } = await spawn({ containerfile }, ['sleep', 'infinity'])
    const exec = {
      command: ['/bin/sh', '-c', 'id -u; touch /data/x && df --output=fstype /data | tail -1'],
      environment: {},
      cwd: '/',
      stdin: null,
    }
    const output: string[] = []
    await harness.driver.exec(
      { handle, spec },
      exec,
      (_, data) => void output.push(Buffer.from(data).toString()),
      never,
    )
    expect(output.join('')).toBe('1000\ntmpfs\n')
    await harness.driver.destroy(handle)
  })

  it('says with the last lines of the output why a build failed, and leaves nothing', async () => {
    const images_before = images()
    const containerfile = await context(`FROM ${cell}\nLABEL ${LABEL}\nRUN echo so far so good && exit 3\n`)
    const failure = await spawn({ containerfile }, ['true']).catch((error) => error)
    expect(failure).toMatchObject({ code: 'image_unavailable' })
    expect(failure.message).toContain('so far so good')
    expect(failure.remedy).toContain('podman build')
    expect(images()).toEqual(images_before)
  })

  it('refuses a Containerfile that is not there, and a context that holds more than files', async () => {
    await expect(spawn({ containerfile: '/no/such/Containerfile' }, ['true'])).rejects.toMatchObject({
      code: 'image_unavailable',
    })
    const containerfile = await context(`FROM ${cell}\nLABEL ${LABEL}\n`)
    execFileSync('mkfifo', [join(containerfile, '..', 'pipe')])
    await expect(spawn({ containerfile }, ['true'])).rejects.toThrow('pipe')
  })

  it('pulls nothing: an image that is not here is an error with a remedy', async () => {
    for (const image of ['localhost/no-such-image:latest', 'docker.io/library/busybox', 'NOT A NAME']) {
      const failure = await spawn({ image }, ['true']).catch((error) => error)
      expect(failure).toMatchObject({ code: 'image_unavailable' })
      expect(failure.message).toContain(image)
    }
  })

  it('says that an image has no shell', async () => {
    const empty = join(harness.deps.root, 'empty.tar')
    execFileSync('tar', ['-cf', empty, '-C', harness.deps.root, '--files-from', '/dev/null'])
    const image = `localhost/lazarus-test-empty:${process.pid}`
    podman('import', '--quiet', '--change', `LABEL ${LABEL}`, empty, image)
    await rm(empty)
    const failure = await spawn({ image }, ['true']).catch((error) => error)
    expect(failure).toMatchObject({ code: 'image_unavailable' })
    expect(failure.message).toContain('/bin/sh')
  })
})
