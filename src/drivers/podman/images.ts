import type { Policy } from '../../contract/policy.ts'
import { LazarusError } from '../../kernel/errors.ts'
import { run } from '../../linux/run.ts'
import { buildImage } from './build.ts'
import type { PodmanClient } from './client.ts'
import { isGone, statusOf, translate } from './errors.ts'

export interface Image {
  readonly id: string
  readonly reference: string
  /** "NAME=value" lines that the image sets. */
  readonly environment: readonly string[]
  /** Paths for which Podman would make volumes. */
  readonly volumes: readonly string[]
  /** Whether it asks Podman to run a command of its own now and then. */
  readonly health_check: boolean
}

export type ImageResolver = (policy: Pick<Policy, 'image' | 'containerfile'>, abort: AbortSignal) => Promise<Image>

/** Prints the tag of the cell image, images/cell/tag, without building it. */
export async function readCellTag(script: string): Promise<string> {
  const result = await run(script, [], { environment: { PATH: '/usr/bin:/bin' }, timeout_ms: 10_000 })
  const tag = result.stdout.toString().trim()
  if (result.exit_code === 0 && tag !== '') return tag
  throw new LazarusError(
    'image_unavailable',
    `The tag of the cell image cannot be read: ${result.stderr || 'no output'}`,
  )
}

/** Which image a policy means. Nothing is ever pulled: an image is there, or is built from the operator's Containerfile. */
export function createImages(client: PodmanClient, cellTag: () => Promise<string>): ImageResolver {
  let tag: string | null = null
  const cell = async () => {
    tag ??= await cellTag()
    return tag
  }
  return async (policy, abort) => {
    if (policy.containerfile !== null)
      return await imageOf(client, await buildImage(client, policy.containerfile, abort))
    return await imageOf(client, policy.image ?? (await cell()))
  }
}

/** What goes into a path of the API: no way up, nothing that ends the path. */
const REFERENCE = /^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,511}$/

async function imageOf(client: PodmanClient, reference: string): Promise<Image> {
  if (!REFERENCE.test(reference) || reference.includes('..')) {
    throw new LazarusError('image_unavailable', `${JSON.stringify(reference)} is not the name of an image.`)
  }
  try {
    const { Id, Config } = await client.image(reference)
    const volumes = Object.keys(Config.Volumes ?? {})
    const health_check = Boolean(Config.Healthcheck)
    return { id: Id.replace(/^sha256:/, ''), reference, environment: Config.Env ?? [], volumes, health_check }
  } catch (error) {
    if (!isGone(error) && statusOf(error) !== 500) throw translate(error, `The image ${reference} cannot be read`)
    throw new LazarusError('image_unavailable', `There is no image ${reference} on this host, and none is pulled.`, {
      cause: error,
    })
  }
}
