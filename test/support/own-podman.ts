import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A rootless Podman with a store, a runtime directory and a pause process of its own: what a test does to it, nobody else feels. */
export class OwnPodman implements Disposable {
  /** On a real file system: the storage driver is overlay. */
  readonly directory = mkdtempSync('/var/tmp/lazarus-own-podman-')
  readonly environment = {
    PATH: process.env.PATH!,
    HOME: join(this.directory, 'home'),
    XDG_RUNTIME_DIR: join(this.directory, 'run'),
  }

  constructor() {
    const configuration = join(this.environment.HOME, '.config/containers')
    mkdirSync(configuration, { recursive: true })
    mkdirSync(this.environment.XDG_RUNTIME_DIR, { mode: 0o700 })
    writeFileSync(join(configuration, 'storage.conf'), '[storage]\ndriver = "overlay"\n')
    this.run('unshare', 'true')
  }

  run(...args: string[]): string {
    return execFileSync('podman', args, {
      env: this.environment,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim()
  }

  /** Holds the user namespace, and the mounts below the store. */
  get pauseProcess(): number {
    return Number(readFileSync(join(this.environment.XDG_RUNTIME_DIR, 'libpod/tmp/pause.pid'), 'utf8'))
  }

  [Symbol.dispose](): void {
    this.run('rm', '--force', '--time', '0', '--all')
    this.run('rmi', '--force', '--all')
    process.kill(this.pauseProcess, 'SIGKILL')
    rmSync(this.directory, { recursive: true, force: true })
  }
}
