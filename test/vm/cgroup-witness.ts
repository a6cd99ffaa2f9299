import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const TREE = '/sys/fs/cgroup'

const read = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '')

/** Host pids of the processes whose command line holds the word: a marker that only one test uses. */
export async function processesWith(word: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
  const lines = await Promise.all(pids.map((pid) => read(`/proc/${pid}/cmdline`)))
  return pids.filter((_, at) => lines[at]?.split('\0').some((argument) => argument.includes(word))).map(Number)
}

/** Names of all cgroups below a directory; they may vanish while we look. */
async function cgroupsBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => [])
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  return [...names, ...(await Promise.all(names.map((name) => cgroupsBelow(join(directory, name))))).flat()]
}

/** What the host still shows of a seat: cgroups and containers with the mission's id in their names. */
export async function tracesOf(missionId: string): Promise<string[]> {
  const cgroups = await cgroupsBelow(join(TREE, 'user.slice'))
  const { stdout } = await promisify(execFile)('podman', ['ps', '--all', '--format', '{{.Names}}'])
  return [...cgroups, ...stdout.split('\n')].filter((name) => name.includes(missionId))
}

/** The cgroup of a process and those above it, the nearest first. */
async function cgroupsOf(pid: number): Promise<string[]> {
  const own = /^0::(\/.+)$/m.exec(await read(`/proc/${pid}/cgroup`))?.[1]
  const paths: string[] = []
  for (let path = own; path && path !== '/'; path = dirname(path)) paths.push(join(TREE, path))
  return paths
}

/** The agent among them: what only watches it carries the same words, in a cgroup further up. */
export async function agentWith(word: string): Promise<number> {
  const pids = await processesWith(word)
  const depths = await Promise.all(pids.map(async (pid) => (await cgroupsOf(pid)).length))
  const agent = pids[depths.indexOf(Math.max(...depths))]
  if (agent === undefined) throw new Error(`no process with ${word}`)
  return agent
}

/** The nearest cgroup above the process in which this file holds a limit. */
export async function limitedBy(
  pid: number,
  file: 'memory.max' | 'pids.max' | 'cpu.max',
): Promise<{ path: string; value: string }> {
  for (const path of await cgroupsOf(pid)) {
    const value = (await read(join(path, file))).trim()
    if (value && !value.startsWith('max')) return { path, value }
  }
  throw new Error(`no cgroup above process ${pid} has a limit in ${file}`)
}

/** A number that the kernel counts in a flat keyed file, for example pids.events "max". */
export async function counted(cgroup: string, file: string, key: string): Promise<number> {
  return Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(await read(join(cgroup, file)))?.[1] ?? 0)
}

/** A file that holds one number. */
export const number = async (cgroup: string, file: string): Promise<number> => Number(await read(join(cgroup, file)))

/** Cores in use, measured until the cgroup has used one more second of processor time. */
export async function coresUsed(cgroup: string): Promise<number> {
  const used = () => counted(cgroup, 'cpu.stat', 'usage_usec')
  const [from, began] = [await used(), performance.now()]
  for (;;) {
    const [now, elapsed] = [await used(), performance.now() - began]
    // Four periods of 100 ms at least, so that the quota's own grain does not show.
    if (now - from >= 1_000_000 && elapsed >= 1000) return (now - from) / 1000 / elapsed
    if (elapsed > 120_000) throw new Error(`only ${now - from} µs of processor time in two minutes`)
    await new Promise((go) => setTimeout(go, 50))
  }
}
