import type { ImageInspectInfo } from 'dockerode'
import type { CellImages, ImagePolicy } from '../../ports/cell-images.ts'
import type { PodmanDeps } from './deps.ts'
import { isConflict, isGone, translate } from './errors.ts'
import { idOf } from './images.ts'
import type { Connection, Runtime } from './runtime.ts'

const UNUSED_MS = 7 * 86_400_000
const SWEPT_EVERY_MS = 86_400_000
/** Built by us, or for us; an image that also has another name is somebody's own. */
const OURS = /^localhost\/lazarus-(?:built|cell|pit|pit-base):/
/** What a rebuild of the same tag leaves has no name any more. */
const OUR_LABELS = ['org.lazarus-pit.cell', 'org.lazarus-pit.pit']

const never = new AbortController().signal

/** Says at once which image cannot be had, and removes those that nobody needs any more. */
export class ImageKeeper implements CellImages {
  readonly #deps: PodmanDeps
  readonly #connection: Connection
  #swept: number | null = null

  constructor(deps: PodmanDeps, connection: Connection) {
    this.#deps = deps
    this.#connection = connection
  }

  async require(policy: ImagePolicy, abort: AbortSignal): Promise<void> {
    const { images } = await this.#connection.runtime()
    try {
      await images.find(policy, abort)
    } catch (error) {
      abort.throwIfAborted()
      throw translate(error, 'The image cannot be used')
    }
  }

  /** Once a day. Where Podman is named by its socket, its store is not ours to look at, nor its images to delete. */
  async sweep(policies: readonly ImagePolicy[]): Promise<void> {
    const now = this.#deps.clock.now()
    if (this.#deps.socket !== null || now - (this.#swept ?? Number.NEGATIVE_INFINITY) < SWEPT_EVERY_MS) return
    this.#swept = now
    const runtime = await this.#connection.runtime()
    for (const policy of distinct([...policies, CELL])) await noteUse(runtime, policy)
    const present = await runtime.client.images()
    for (const image of present.filter(isOurs)) {
      if (now - (await runtime.uses.last(idOf(image))) < UNUSED_MS || isBase(image, present)) continue
      await this.#remove(runtime, image)
    }
  }

  /** Podman refuses while a container has it: that is a use. */
  async #remove({ client, uses }: Runtime, image: ImageInspectInfo): Promise<void> {
    const id = idOf(image)
    try {
      for (const name of image.RepoTags.length > 0 ? image.RepoTags : [id]) await client.removeImage(name)
      this.#deps.log.info({ image: image.RepoTags, id }, 'an image that nobody used for long is removed')
      await uses.forget(id)
    } catch (error) {
      if (isConflict(error)) await uses.note(id)
      else if (!isGone(error)) throw translate(error, `The image ${id} cannot be removed`)
    }
  }
}

/** The image of those who name none. */
const CELL: ImagePolicy = { image: null, containerfile: null }

const distinct = (policies: readonly ImagePolicy[]): Iterable<ImagePolicy> =>
  new Map(policies.map((policy) => [`${policy.image} ${policy.containerfile}`, policy])).values()

/** What is not there (yet) is not used. */
async function noteUse({ images }: Runtime, policy: ImagePolicy): Promise<void> {
  await images.find(policy, never, { build: false }).catch(() => null)
}

const isOurs = ({ RepoTags, Config }: ImageInspectInfo): boolean =>
  RepoTags.length > 0
    ? RepoTags.every((name) => OURS.test(name))
    : OUR_LABELS.some((label) => Config.Labels?.[label] !== undefined)

/** Whether another image was made from it: it would be missed at the next build. */
const isBase = (image: ImageInspectInfo, all: readonly ImageInspectInfo[]): boolean =>
  all.some((other) => other.Id !== image.Id && startsWith(other.RootFS?.Layers ?? [], image.RootFS?.Layers ?? []))

const startsWith = (layers: readonly string[], first: readonly string[]): boolean =>
  layers.length > first.length && first.every((layer, index) => layers[index] === layer)
