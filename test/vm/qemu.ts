import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants, createWriteStream, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

export interface MachineFiles {
  /** disk.img, vmlinuz, initrd, host_key.pub: what test/vm/image made. The disk is never written. */
  readonly image: string
  /** A tar archive that appears inside as /dev/vdb. */
  readonly seed: string
  /** Where serial.log, qemu.log and the key of this run are put. */
  readonly out: string
}

export type Accelerator = 'kvm' | 'tcg'

const KERNEL = ['console=ttyS0', 'root=/dev/vda', 'rw', 'net.ifnames=0', 'panic=-1']
const serialLog = (files: MachineFiles) => join(files.out, 'serial.log')

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
    ...['-serial', `file:${serialLog(files)}`],
    ...['-kernel', join(files.image, 'vmlinuz'), '-initrd', join(files.image, 'initrd'), '-append', KERNEL.join(' ')],
    ...['-drive', `file=${join(files.image, 'disk.img')},format=raw,if=virtio,snapshot=on,cache=unsafe`],
    ...['-drive', `file=${files.seed},format=raw,if=virtio,readonly=on`],
    ...['-netdev', `user,id=net,hostfwd=tcp:127.0.0.1:${sshPort}-:22`, '-device', 'virtio-net-pci,netdev=net,romfile='],
    ...['-device', 'virtio-rng-pci', '-smbios', `type=11,value=${credential}`],
  ]
}

/** `--pdeathsig`: also a killed runner leaves no machine behind. */
export function startQemu(files: MachineFiles, args: readonly string[]): ChildProcess {
  const command = ['--pdeathsig', 'KILL', 'nice', '-n', '10', 'qemu-system-x86_64', ...args]
  const qemu = spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'pipe'] })
  const log = createWriteStream(join(files.out, 'qemu.log'), { flags: 'a' })
  qemu.stdout.pipe(log, { end: false })
  qemu.stderr.pipe(log, { end: false })
  return qemu
}

export const hasEnded = (qemu: ChildProcess): boolean => qemu.exitCode !== null || qemu.signalCode !== null

export function accelerators(): readonly Accelerator[] {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK)
    return ['kvm', 'tcg']
  } catch {
    return ['tcg']
  }
}

/** A nested KVM may exist and yet be unable to run a distribution's kernel: its first line within 20 s, or none. */
export async function kernelSpeaks(files: MachineFiles, qemu: ChildProcess, abort: AbortSignal): Promise<boolean> {
  for (let look = 0; look < 80 && !hasEnded(qemu); look++) {
    if (readFileSync(serialLog(files), { encoding: 'latin1', flag: 'a+' }).includes('Linux version')) return true
    await pause(250, undefined, { signal: abort })
  }
  return false
}
