import { join, resolve } from 'node:path'

type Environment = Readonly<Record<string, string | undefined>>

/** `$LAZARUS_STATE_DIR`, else `$XDG_STATE_HOME/lazarus`, else `~/.local/state/lazarus`. */
export function stateDirOf(env: Environment, override?: string): string {
  const home = env.HOME ?? '/'
  return resolve(
    override ?? env.LAZARUS_STATE_DIR ?? join(env.XDG_STATE_HOME ?? join(home, '.local', 'state'), 'lazarus'),
  )
}
