import { join } from 'node:path'
import { ROOT } from '../../support/source-tree.ts'
import { output } from '../command.ts'
import { installNpmPeers } from './npm-peers.ts'

/** The others, ready to be started. */
export interface Peers {
  readonly devcontainer: string
  readonly srt: string
  /** The image that every container of this bench runs, ours and the peers'. */
  readonly image: string
  /** Marks the containers that the bench starts by hand, so that it can find them all again. */
  readonly label: string
}

/** Peers that cannot be installed keep a path that does not exist: their rows then say why. */
export async function preparePeers(label: string, say: (progress: string) => void): Promise<Peers> {
  const commands = await installNpmPeers(say).catch((error) => {
    say(`the peers from npm could not be installed: ${error.message}`)
    return '/nonexistent'
  })
  return {
    devcontainer: join(commands, 'devcontainer'),
    srt: join(commands, 'srt'),
    image: await output(join(ROOT, 'images', 'cell', 'tag'), []),
    label,
  }
}

export async function removeContainers(label: string): Promise<void> {
  const ids = (await output('podman', ['ps', '--all', '--quiet', '--filter', `label=${label}`]))
    .split('\n')
    .filter(Boolean)
  if (ids.length > 0) await output('podman', ['rm', '--force', '--time', '0', ...ids])
}
