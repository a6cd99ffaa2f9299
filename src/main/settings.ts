import { accessSync, constants } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Config } from '../contract/config.ts'
import { LazarusError } from '../kernel/errors.ts'
import { type CreatedConfig, createConfig, readConfig } from './config-file.ts'
import { stateDirOf } from './state-dir.ts'

/** Everything that the environment and the configuration file decide, read once. */
export interface Settings {
  readonly stateDir: string
  readonly missionsPath: string
  readonly runtimeDir: string
  /** host:port; port 0 takes any free one. */
  readonly listen: string
  readonly config: Config
  readonly configPath: string
  /** The operator's own home, registered or not: no cell sees it. null: there is none, or it is the root directory. */
  readonly operatorHome: string | null
  /** Root of this package: policies/ and images/ lie there. */
  readonly packageDir: string
  /** Podman's API socket that the operator named with DOCKER_HOST; null: the pit starts the service itself. */
  readonly podmanSocket: string | null
  /** Rootless Podman's own store: it may lie in the operator's home, and changes with every container. */
  readonly podmanStore: string
  readonly podmanEnvironment: Readonly<Record<string, string>>
  /** What git and ssh need to reach a repository: never handed to a cell. */
  readonly remoteEnvironment: Readonly<Record<string, string>>
}

type Environment = Readonly<Record<string, string | undefined>>

export interface Overrides {
  readonly stateDir?: string | undefined
  readonly listen?: string | undefined
}

export function readSettings(env: Environment, overrides: Overrides = {}): Settings {
  const home = env.HOME ?? '/'
  const configPath = configPathOf(env)
  const config = readConfig(configPath, env.LAZARUS_CONFIG !== undefined)
  const stateDir = stateDirOf(env, overrides.stateDir)
  return {
    stateDir,
    missionsPath: resolve(env.LAZARUS_MISSIONS_PATH ?? config.missions_path ?? defaultMissionsPath(stateDir)),
    runtimeDir: env.XDG_RUNTIME_DIR ?? join(stateDir, 'runtime'),
    listen: checkListen(overrides.listen ?? env.LAZARUS_LISTEN ?? config.listen),
    config,
    configPath,
    operatorHome: resolve(home) === '/' ? null : resolve(home),
    packageDir: resolve(import.meta.dirname, '..', '..'),
    podmanSocket: podmanSocket(env.DOCKER_HOST),
    podmanStore: join(env.XDG_DATA_HOME ?? join(home, '.local', 'share'), 'containers'),
    podmanEnvironment: pick(env, PODMAN_NAMES),
    remoteEnvironment: pick(env, REMOTE_NAMES),
  }
}

const configPathOf = (env: Environment): string =>
  resolve(env.LAZARUS_CONFIG ?? join(env.HOME ?? '/', '.lazarus', 'config.json'))

/** The defaults of this machine, written where this environment looks for the configuration. */
export const writeDefaults = (env: Environment, stateDir: string, force: boolean): Promise<CreatedConfig> =>
  createConfig(configPathOf(env), defaultMissionsPath(stateDir), force)

const PODMAN_NAMES = [
  'PATH',
  'HOME',
  'USER',
  'XDG_RUNTIME_DIR',
  'XDG_CONFIG_HOME',
  'XDG_DATA_HOME',
  'DBUS_SESSION_BUS_ADDRESS',
]
const REMOTE_NAMES = [
  'HOME',
  'SSH_AUTH_SOCK',
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'HTTPS_PROXY',
  'NO_PROXY',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'GIT_SSL_CAINFO',
]

function podmanSocket(dockerHost: string | undefined): string | null {
  if (dockerHost === undefined || dockerHost === '') return null
  if (dockerHost.startsWith('unix:///')) return dockerHost.slice('unix://'.length)
  throw new LazarusError('invalid_request', `DOCKER_HOST is "${dockerHost}"; only a unix socket is used`, {
    remedy: 'Set DOCKER_HOST=unix:///path/to/podman.sock, or unset it: the pit then starts the service itself.',
  })
}

function pick(env: Environment, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])))
}

function defaultMissionsPath(stateDir: string): string {
  try {
    accessSync('/var/missions', constants.W_OK)
    return '/var/missions'
  } catch {
    return join(stateDir, 'missions')
  }
}

function checkListen(listen: string): string {
  const port = Number(/^(?:\[[0-9a-fA-F:]+\]|[^\s:]+):(\d{1,5})$/.exec(listen)?.[1] ?? Number.NaN)
  if (port <= 65_535) return listen
  throw new LazarusError('invalid_request', `"${listen}" is not an address to listen on`, {
    remedy: 'Write host:port, for example 127.0.0.1:4878.',
  })
}
