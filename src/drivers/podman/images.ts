import { LazarusError } from '../../kernel/errors.ts'
import { run } from '../../linux/run.ts'
import type { ImagePolicy } from '../../ports/cell-images.ts'
import { buildImage, builtTag } from './build.ts'
import type { PodmanClient } from './client.ts'
import { isGone, statusOf, translate } from './errors.ts'
import type { ImageUses } from './image-uses.ts'

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

export interface Images {
  /** The image that a policy means. With `build: false` one that would have to be built is an error too. */
  find(policy: ImagePolicy, abort: AbortSignal, options?: { readonly build: boolean }): Promise<Image>
}

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
export function createImages(client: PodmanClient, uses: ImageUses, cellTag: () => Promise<string>): Images {
  let tag: string | null = null
  const cell = async () => {
    tag ??= await cellTag()
    return tag
  }
  const nameOf = async ({ image, containerfile }: ImagePolicy, abort: AbortSignal, build: boolean) => {
    if (containerfile === null) return image ?? (await cell())
    return build ? await buildImage(client, containerfile, abort) : await builtTag(containerfile)
  }
  return {
    async find(policy, abort, { build } = { build: true }) {
      const image = await imageOf(client, await nameOf(policy, abort, build))
      await uses.note(image.id)
      return image
    },
  }
}

export const idOf = ({ Id }: { readonly Id: string }): string => Id.replace(/^sha256:/, '')

/** What goes into a path of the API: no way up, nothing that ends the path. */
const REFERENCE = /^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,511}$/

async function imageOf(client: PodmanClient, reference: string): Promise<Image> {
  if (!REFERENCE.test(reference) || reference.includes('..')) {
    throw new LazarusError('image_unavailable', `${JSON.stringify(reference)} is not the name of an image.`)
  }
  try {
    const found = await client.image(reference)
    const { Config } = found
    const volumes = Object.keys(Config.Volumes ?? {})
    const health_check = Boolean(Config.Healthcheck)
    return { id: idOf(found), reference, environment: Config.Env ?? [], volumes, health_check }
  } catch (error) {
    if (!isGone(error) && statusOf(error) !== 500) throw translate(error, `The image ${reference} cannot be read`)
    throw new LazarusError('image_unavailable', `There is no image ${reference} on this host, and none is pulled.`, {
      cause: error,
    })
  }
}
