import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { accessSync, constants, createWriteStream, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

export interface MachineFiles {
  /** disk.img, vmlinuz, initrd, host_key.pub: what test/vm/image made. The disk is never written. */
  readonly image: string
  /** A tar archive that appears inside as /dev/vdb. */
  readonly seed: string
  /** Where serial.log and the key of this run are put. */
  readonly out: string
}

type Accelerator = 'kvm' | 'tcg'

const boot = ['console=ttyS0', 'root=/dev/vda', 'rw', 'net.ifnames=0', 'systemd.show_status=yes', 'panic=-1']

export function qemuArguments(
  files: MachineFiles,
  accelerator: Accelerator,
  sshPort: number,
  publicKey: string,
): string[] {
  const keys = `d /run/vm 0755 root root\nf /run/vm/dev.keys 0444 root root - ${publicKey.trim()}\n`
  const credential = `io.systemd.credential.binary:tmpfiles.extra=${Buffer.from(keys).toString('base64')}`
  return [
    ...(accelerator === 'kvm'
      ? ['-accel', 'kvm', '-cpu', 'host']
      : ['-accel', 'tcg,thread=multi,tb-size=512', '-cpu', 'max']),
    ...['-machine', 'q35', '-smp', '2', '-m', '4G', '-no-reboot', '-display', 'none', '-monitor', 'none'],
    ...['-serial', `file:${join(files.out, 'serial.log')}`],
    ...['-kernel', join(files.image, 'vmlinuz'), '-initrd', join(files.image, 'initrd'), '-append', boot.join(' ')],
    ...['-drive', `file=${join(files.image, 'disk.img')},format=raw,if=virtio,snapshot=on,cache=unsafe`],
    ...['-drive', `file=${files.seed},format=raw,if=virtio,readonly=on`],
    ...['-netdev', `user,id=net,hostfwd=tcp:127.0.0.1:${sshPort}-:22`, '-device', 'virtio-net-pci,netdev=net,romfile='],
    ...['-device', 'virtio-rng-pci', '-smbios', `type=11,value=${credential}`],
  ]
}

/** A booted machine and the way into it. Disposing ends qemu, which also dies with this process. */
export class Machine implements AsyncDisposable {
  readonly #qemu: ChildProcess
  readonly #ssh: readonly string[]
  readonly accelerator: Accelerator

  private constructor(qemu: ChildProcess, ssh: readonly string[], accelerator: Accelerator) {
    this.#qemu = qemu
    this.#ssh = ssh
    this.accelerator = accelerator
  }

  /** Resolves once the ordinary user can log in. */
  static async boot(files: MachineFiles, abort: AbortSignal, tell: (line: string) => void): Promise<Machine> {
    const publicKey = throwAwayKey(files)
    for (const accelerator of kvmMayWork() ? (['kvm', 'tcg'] as const) : (['tcg'] as const)) {
      const port = await freePort()
      const qemu = startQemu(qemuArguments(files, accelerator, port, publicKey), join(files.out, 'qemu.log'))
      const machine = new Machine(qemu, sshCommand(files, port), accelerator)
      try {
        if (accelerator === 'kvm' && !(await kernelSpeaks(files, qemu, abort))) {
          tell('this machine offers /dev/kvm, but a Linux kernel does not start in it: emulating instead')
          await machine[Symbol.asyncDispose]()
          continue
        }
        await machine.#reachable(abort)
        return machine
      } catch (cause) {
        await machine[Symbol.asyncDispose]()
        throw cause
      }
    }
    throw new Error('unreachable: tcg either boots or throws')
  }

  /** Runs a script as the ordinary user in a login of its own; output goes to the file. Resolves with the exit code. */
  run(script: string, log: string, abort: AbortSignal): Promise<number> {
    const child = spawn(this.#ssh[0] as string, [...this.#ssh.slice(1), 'bash -l -s'], {
      stdio: ['pipe', 'pipe', 'pipe'],
      signal: abort,
    })
    const file = createWriteStream(log, { flags: 'a' })
    child.stdout.pipe(file, { end: false })
    child.stderr.pipe(file, { end: false })
    child.stdin.on('error', () => undefined).end(script)
    return new Promise((done, fail) => {
      child.once('error', fail)
      child.once('close', (code) => file.end(() => done(code ?? 255)))
    })
  }

  /** The bytes that a command prints, into a file of this machine. */
  async fetch(command: string, into: string, abort: AbortSignal): Promise<boolean> {
    const child = spawn(this.#ssh[0] as string, [...this.#ssh.slice(1), command], {
      stdio: ['ignore', 'pipe', 'ignore'],
      signal: abort,
    })
    const file = createWriteStream(into)
    child.stdout.pipe(file)
    return new Promise((done, fail) => {
      child.once('error', fail)
      child.once('close', (code) => file.end(() => done(code === 0)))
    })
  }

  /** For a person who wants to look inside. */
  get login(): string {
    return this.#ssh.join(' ')
  }

  async #reachable(abort: AbortSignal): Promise<void> {
    const log = '/dev/null'
    while ((await this.run('true', log, abort)) !== 0) {
      if (this.#qemu.exitCode !== null || this.#qemu.signalCode !== null)
        throw new Error('qemu ended before anybody could log in')
      await pause(2000, undefined, { signal: abort })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#qemu.exitCode !== null || this.#qemu.signalCode !== null) return
    const gone = new Promise((done) => this.#qemu.once('exit', done))
    this.#qemu.kill('SIGTERM')
    const hard = setTimeout(() => this.#qemu.kill('SIGKILL'), 5000)
    await gone
    clearTimeout(hard)
  }
}

/** `--pdeathsig`: also a killed runner leaves no machine behind. */
function startQemu(args: readonly string[], log: string): ChildProcess {
  const qemu = spawn('setpriv', ['--pdeathsig', 'KILL', 'nice', '-n', '10', 'qemu-system-x86_64', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const file = createWriteStream(log, { flags: 'a' })
  qemu.stdout?.pipe(file, { end: false })
  qemu.stderr?.pipe(file, { end: false })
  return qemu
}

function kvmMayWork(): boolean {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** A nested KVM may exist and yet be unable to run a distribution's kernel: its first line within 20 s, or none. */
async function kernelSpeaks(files: MachineFiles, qemu: ChildProcess, abort: AbortSignal): Promise<boolean> {
  for (let tries = 0; tries < 80 && qemu.exitCode === null; tries++) {
    if (readFileSync(join(files.out, 'serial.log'), { encoding: 'latin1', flag: 'a+' }).includes('Linux version'))
      return true
    await pause(250, undefined, { signal: abort })
  }
  return false
}

function throwAwayKey(files: MachineFiles): string {
  const key = join(files.out, 'key')
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'lazarus-vm', '-f', key])
  writeFileSync(join(files.out, 'known_hosts'), `lazarus-vm ${readFileSync(join(files.image, 'host_key.pub'), 'utf8')}`)
  return readFileSync(`${key}.pub`, 'utf8')
}

function sshCommand(files: MachineFiles, port: number): string[] {
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

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer().once('error', fail)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        typeof address === 'object' && address ? done(address.port) : fail(new Error('no free port')),
      )
    })
  })
}
