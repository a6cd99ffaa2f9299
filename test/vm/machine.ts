import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort, makeKey, sshCommand } from './login.ts'
import {
  type Accelerator,
  accelerators,
  hasEnded,
  kernelSpeaks,
  type MachineFiles,
  qemuArguments,
  startQemu,
} from './qemu.ts'

/** A booted machine and the way into it. Disposing ends qemu, which also dies with this process. */
export class Machine implements AsyncDisposable {
  readonly #qemu: ChildProcess
  readonly #ssh: readonly string[]
  /** Aborted when qemu ends: nobody waits for a machine that is gone. */
  readonly #gone = new AbortController()
  readonly accelerator: Accelerator

  private constructor(qemu: ChildProcess, ssh: readonly string[], accelerator: Accelerator) {
    this.#qemu = qemu
    this.#ssh = ssh
    this.accelerator = accelerator
    qemu.once('error', (cause) => this.#gone.abort(cause))
    qemu.once('exit', (code, signal) => this.#gone.abort(new Error(`qemu ended with ${signal ?? `exit code ${code}`}`)))
  }

  /** Resolves once the ordinary user can log in. */
  static async boot(files: MachineFiles, abort: AbortSignal, tell: (line: string) => void): Promise<Machine> {
    const publicKey = makeKey(files)
    for (const accelerator of accelerators()) {
      const port = await freePort()
      const qemu = startQemu(files, qemuArguments(files, accelerator, port, publicKey))
      const machine = new Machine(qemu, sshCommand(files, port), accelerator)
      try {
        if (accelerator === 'tcg' || (await kernelSpeaks(files, qemu, abort))) {
          await machine.#reachable(abort)
          return machine
        }
        tell('this machine offers /dev/kvm, but a Linux kernel does not start in it: emulating instead')
        await machine[Symbol.asyncDispose]()
      } catch (cause) {
        await machine[Symbol.asyncDispose]()
        throw cause
      }
    }
    throw new Error('no accelerator is left')
  }

  /** Runs a script as the ordinary user in a login of its own; all output goes to the file. Resolves with the exit code. */
  run(script: string, log: string, abort: AbortSignal): Promise<number> {
    return this.#login('bash -l -s', script, { file: log, flags: 'a', errors: true }, abort)
  }

  /** The bytes that a command prints, into a file of this machine. */
  async fetch(command: string, into: string, abort: AbortSignal): Promise<boolean> {
    return (await this.#login(command, '', { file: into, flags: 'w', errors: false }, abort)) === 0
  }

  /** Resolves when it is told to stop, rejects when the machine ends before that. */
  async stays(abort: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    for (const signal of [abort, this.#gone.signal]) signal.addEventListener('abort', () => resolve(), { once: true })
    await promise
    this.#gone.signal.throwIfAborted()
  }

  /** For a person who wants to look inside. */
  get login(): string {
    return this.#ssh.join(' ')
  }

  #login(
    command: string,
    input: string,
    output: { readonly file: string; readonly flags: string; readonly errors: boolean },
    abort: AbortSignal,
  ): Promise<number> {
    const [ssh = 'ssh', ...args] = this.#ssh
    const child = spawn(ssh, [...args, command], { signal: AbortSignal.any([abort, this.#gone.signal]) })
    const file = createWriteStream(output.file, { flags: output.flags })
    child.stdout.pipe(file, { end: false })
    if (output.errors) child.stderr.pipe(file, { end: false })
    else child.stderr.resume()
    child.stdin.on('error', () => undefined).end(input)
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    child.once('error', (error) => reject(error.cause ?? error))
    child.once('close', (code) => file.end(() => resolve(code ?? 255)))
    return promise
  }

  async #reachable(abort: AbortSignal): Promise<void> {
    while ((await this.run('true', '/dev/null', abort)) !== 0) await pause(2000, undefined, { signal: abort })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (hasEnded(this.#qemu)) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#qemu.once('exit', () => resolve())
    this.#qemu.kill('SIGTERM')
    const hard = setTimeout(() => this.#qemu.kill('SIGKILL'), 5000)
    await promise
    clearTimeout(hard)
  }
}
