import { dirname, join } from 'node:path'
import { type CgroupFacts, cgroupFacts } from './cgroups.ts'
import { PodmanClient, type PodmanInfo } from './client.ts'
import type { PodmanDeps } from './deps.ts'
import { translate } from './errors.ts'
import { ImageUses } from './image-uses.ts'
import { createImages, type Images } from './images.ts'
import { openService, type PodmanService } from './service.ts'
import { serviceDirectory, sweepServices } from './service-record.ts'

/** Podman as it was found at the first use. */
export interface Runtime {
  readonly client: PodmanClient
  readonly service: PodmanService
  readonly info: PodmanInfo
  readonly cgroups: CgroupFacts
  readonly uses: ImageUses
  readonly images: Images
}

/** Connects at first use, so that a host without Podman has a pit all the same, and again when our service has died. */
export class Connection {
  readonly #deps: PodmanDeps
  #present: Runtime | null = null
  #connecting: Promise<Runtime> | null = null

  constructor(deps: PodmanDeps) {
    this.#deps = deps
  }

  async runtime(): Promise<Runtime> {
    if (this.#present?.service.lives()) return this.#present
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = null
    })
    try {
      this.#present = await this.#connecting
      return this.#present
    } catch (error) {
      throw translate(error, 'Podman cannot be used', 'isolation_unavailable')
    }
  }

  async close(): Promise<void> {
    await this.#connecting?.catch(() => null)
    this.#present?.client.close()
    this.#present?.service.close()
    this.#present = null
  }

  async #connect(): Promise<Runtime> {
    const { socket, runtimeDir, environment, stateKey, cellTag, root, clock } = this.#deps
    if (socket === null) sweepServices(runtimeDir, clock.now())
    const service = await openService({ socket, environment, directory: serviceDirectory(runtimeDir, stateKey), root })
    const client = new PodmanClient(service.socket)
    const info = await client.info()
    const uses = new ImageUses(join(dirname(info.store.graphRoot), 'lazarus-images'), clock)
    return { client, service, info, cgroups: cgroupFacts(info), uses, images: createImages(client, uses, cellTag) }
  }
}
