import { closeSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'

const O_CLOEXEC = 0o2000000

interface Descriptor {
  readonly fd: number
  readonly target: string
  readonly closes_on_exec: boolean
}

function descriptorsOf(pid: number | 'self'): Descriptor[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((name) => {
    try {
      const target = readlinkSync(`/proc/${pid}/fd/${name}`)
      const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${name}`, 'utf8'))?.[1] ?? '0'
      return [{ fd: Number(name), target, closes_on_exec: (Number.parseInt(flags, 8) & O_CLOEXEC) !== 0 }]
    } catch {
      return [] // Closed meanwhile: the listing itself was one.
    }
  })
}

/**
 * What a process would hand on beyond the descriptors up to `known`. A shell keeps a copy of one of those for a
 * moment while it redirects; that is no other file.
 */
export function inherited(pid: number, known: number): string[] {
  const all = descriptorsOf(pid)
  const expected = new Set(all.filter(({ fd }) => fd <= known).map(({ target }) => target))
  return all
    .filter(({ fd, target, closes_on_exec }) => fd > known && !closes_on_exec && !expected.has(target))
    .map(({ fd, target }) => `${fd} (${target})`)
}

/**
 * Closes what this process inherited beyond 0 to 2. Node opens everything close-on-exec, so what is not was handed
 * down by whoever started the pit, and would be handed on to every agent.
 */
export function closeInherited(): void {
  for (const { fd, closes_on_exec } of descriptorsOf('self')) if (fd > 2 && !closes_on_exec) closeSync(fd)
}
