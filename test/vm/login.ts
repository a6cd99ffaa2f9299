import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { MachineFiles } from './qemu.ts'

/** Makes the key of this run and says whom it will meet; resolves with the public half. */
export function makeKey(files: MachineFiles): string {
  const key = join(files.out, 'key')
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'lazarus-vm', '-f', key])
  const host = readFileSync(join(files.image, 'host_key.pub'), 'utf8')
  writeFileSync(join(files.out, 'known_hosts'), `lazarus-vm ${host}`)
  return readFileSync(`${key}.pub`, 'utf8')
}

/** ssh as the ordinary user, without anything of the caller's own configuration. */
export function sshCommand(files: MachineFiles, port: number): string[] {
  const options = {
    BatchMode: 'yes',
    ConnectTimeout: '20',
    ServerAliveInterval: '60',
    ServerAliveCountMax: '10',
    HostKeyAlias: 'lazarus-vm',
    UserKnownHostsFile: join(files.out, 'known_hosts'),
    IdentitiesOnly: 'yes',
    LogLevel: 'ERROR',
  }
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  return ['ssh', '-F', '/dev/null', '-i', join(files.out, 'key'), '-p', String(port), ...flags, 'dev@127.0.0.1']
}

export function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const server = createServer().once('error', reject)
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    server.close(() => (typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port'))))
  })
  return promise
}
