import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { output, timed } from '../command.ts'
import type { Contender } from '../contest.ts'
import type { Peers } from './peers.ts'

/** It learns of the start of its container from `podman events`, and waits for ever when it listens too late. */
const HUNG_MS = 20_000

/**
 * `devcontainer up` against rootless Podman, with the image present and a workspace that is checked out already. Each
 * sample is a new container. Two things are taken off it that would only slow it down: it finds its control manifest
 * fresh in its cache and does not ask for it over the network, and no user's id is changed in a derived image.
 */
export async function devcontainerUp(peers: Peers, workspace: string, dir: string): Promise<Contender> {
  const config = join(dir, 'devcontainer.json')
  await writeFile(
    config,
    JSON.stringify({
      image: peers.image,
      updateRemoteUserUID: false,
      runArgs: ['--network=none', `--label=${peers.label}`],
    }),
  )
  let count = 0
  return {
    name: 'devcontainer up',
    every: 3,
    sample: async () => {
      await freshManifest(dir)
      const args = [
        'up',
        '--docker-path',
        'podman',
        '--workspace-folder',
        workspace,
        '--config',
        config,
        '--id-label',
        `bench=${++count}`,
      ]
      const options = { environment: { TMPDIR: dir }, timeout_ms: HUNG_MS }
      const { stdout, exit_ms } = await timed(peers.devcontainer, args, options)
      await output('podman', ['rm', '--force', '--time', '0', JSON.parse(stdout).containerId])
      return exit_ms
    },
  }
}

/** The manifest of withdrawn features, where the command caches it for five minutes. */
async function freshManifest(dir: string): Promise<void> {
  const folder = join(dir, `devcontainercli-${process.env.USER ?? ''}`)
  await mkdir(folder, { recursive: true })
  await writeFile(
    join(folder, 'control-manifest.json'),
    JSON.stringify({ disallowedFeatures: [], featureAdvisories: [] }),
  )
}
