import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { ROOT } from '../../support/source-tree.ts'
import { output } from '../command.ts'

/** Exact versions: a figure belongs to one of them. */
export const NPM_PEERS = {
  '@devcontainers/cli': '0.89.0',
  '@anthropic-ai/sandbox-runtime': '0.0.83',
} as const

/** Where the bench keeps what it downloads: outside node_modules, so that nothing of it can leak into the product. */
export const cacheDir = (): string => join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'lazarus-bench')

/** Installs the peers that come from npm, once. Resolves to the directory of their commands. */
export async function installNpmPeers(say: (progress: string) => void): Promise<string> {
  const dir = join(cacheDir(), 'peers')
  const commands = join(dir, 'node_modules', '.bin')
  if (await installed(dir)) return commands
  await mkdir(dir, { recursive: true })
  await writeFile(join(dir, 'package.json'), JSON.stringify({ private: true, dependencies: NPM_PEERS }))
  say(
    `npm install ${Object.entries(NPM_PEERS)
      .map(([name, version]) => `${name}@${version}`)
      .join(' ')} into ${dir}`,
  )
  await npm(dir, ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'])
  return commands
}

async function installed(dir: string): Promise<boolean> {
  for (const [name, version] of Object.entries(NPM_PEERS)) {
    const text = await readFile(join(dir, 'node_modules', name, 'package.json'), 'utf8').catch(() => '{}')
    if (JSON.parse(text).version !== version) return false
  }
  return true
}

/**
 * The machine's own npm on the machine's own node, beside which its configuration lies (proxy, certificates); where
 * the operator may not run that, the npm that the set-up put into .tools.
 */
async function npm(cwd: string, args: readonly string[]): Promise<void> {
  const outside = (process.env.PATH ?? '').split(':').filter((directory) => !directory.startsWith(ROOT))
  try {
    await output('npm', args, { cwd, environment: { PATH: outside.join(':') } })
  } catch (error) {
    const own = join(ROOT, '.tools', 'node_modules', 'npm', 'bin', 'npm-cli.js')
    await output(process.execPath, [own, ...args], { cwd }).catch(() => {
      throw error
    })
  }
}
