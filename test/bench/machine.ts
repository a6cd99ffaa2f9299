import { readFile, statfs } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { ROOT } from '../support/source-tree.ts'
import { output } from './command.ts'
import { NPM_PEERS } from './peers/npm-peers.ts'

const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  61267: 'ext4',
  2435016766: 'btrfs',
  1481003842: 'xfs',
  16914836: 'tmpfs',
  2035054128: 'overlay',
}

/** What the figures belong to. */
export async function machineFacts(dir: string): Promise<Record<string, string>> {
  const version = (file: string, ...args: string[]) =>
    output(file, args).then(
      (text) => text.split('\n')[0]!,
      () => 'missing',
    )
  const { type } = await statfs(dir)
  return {
    system: await prettyName(),
    kernel: release(),
    cpu: `${availableParallelism()} × ${cpus()[0]?.model ?? 'unknown'}`,
    memory: `${Math.round(totalmem() / 1024 ** 3)} GiB`,
    'file system': FILE_SYSTEMS[type] ?? `type ${type.toString(16)}`,
    node: process.version,
    git: await version('git', '--version'),
    podman: await version('podman', '--version'),
    crun: await version('crun', '--version'),
    bubblewrap: await version('bwrap', '--version'),
    'devcontainers cli': NPM_PEERS['@devcontainers/cli'],
    'sandbox-runtime': NPM_PEERS['@anthropic-ai/sandbox-runtime'],
    'lazarus pit': await version(
      'git',
      '-c',
      `safe.directory=${ROOT}`,
      '-C',
      ROOT,
      'describe',
      '--always',
      '--dirty',
      '--exclude=*',
    ),
  }
}

async function prettyName(): Promise<string> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '')
  return /^PRETTY_NAME="?([^"\n]*)/m.exec(text)?.[1] ?? 'unknown'
}

/** Load of the last minute: on a quiet machine the bench itself makes about 1. */
export const load = (): number => loadavg()[0]!
