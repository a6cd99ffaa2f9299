import { readFile } from 'node:fs/promises'
import { type HomeConflict, homeConflict } from '../domain/homes.ts'
import { LazarusError } from '../kernel/errors.ts'
import { type MountFact, mountOf, mountsBelow, parseMountinfo } from '../linux/mountinfo.ts'
import type { RegisteredHome } from './registry.ts'
import { resolvePath } from './resolve-path.ts'

/**
 * A path as its file system sees it, written as a path below the device: two paths that bind mounts lead to the same
 * place have the same one, so the same rules apply to it. null when no mount is known for it.
 */
function onDevice(path: string, mounts: readonly MountFact[]): string | null {
  const mount = mountOf(path, mounts)
  if (!mount) return null
  const below = path.slice(mount.target === '/' ? 0 : mount.target.length)
  return `/${mount.device}${mount.root === '/' ? '' : mount.root}${below === '/' ? '' : below}`
}

/** The conflict of a path, or of anything mounted below it, with a home under another name. */
function aliasConflict(
  path: string,
  homes: readonly string[],
  exempt: readonly string[],
  mounts: readonly MountFact[],
): HomeConflict | null {
  const translate = (paths: readonly string[]) => paths.flatMap((one) => onDevice(one, mounts) ?? [])
  const places = translate([path, ...mountsBelow(path, mounts).map((mount) => mount.target)])
  const own = translate(exempt)
  for (const home of homes) {
    for (const place of places) {
      const conflict = homeConflict(place, translate([home]), own)
      if (conflict) return { ...conflict, home }
    }
  }
  return null
}

/** Throws home_mount_refused when the path is, contains or lies in a home, by name, by symlink or by bind mount. */
export async function refuseHomes(
  path: string,
  homes: readonly RegisteredHome[],
  exempt: readonly string[],
): Promise<void> {
  const resolved = await resolvePath(path)
  const own = await Promise.all(exempt.map(resolvePath))
  const places = [...new Set(homes.flatMap((home) => [home.name, home.path]))]
  const mounts = parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8'))
  const conflict = homeConflict(resolved, places, own) ?? aliasConflict(resolved, places, own, mounts)
  if (!conflict) return
  const shown = resolved === path ? path : `${path} (which leads to ${resolved})`
  throw new LazarusError('home_mount_refused', `${shown} ${conflict.relation} the home ${conflict.home}`, {
    details: { path, resolved, ...conflict },
  })
}
