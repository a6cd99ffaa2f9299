import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { asLazarusError } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { run } from './run.ts'

/** What a service manager may be told, as sd_notify(3) names it. */
export type Announcement = 'READY=1' | 'WATCHDOG=1' | 'STOPPING=1'

/** The manager that started this process and wants to hear of it. */
export interface ServiceManager {
  /** It ends a service that is silent for so long; null: it does not watch. */
  readonly watchdog_ms: number | null
  /** Resolves when the manager has taken it; never rejects: what cannot be told is logged. */
  tell(announcement: Announcement, status?: string): Promise<void>
}

/** What it said when it started this process. */
export interface Invitation {
  /** NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID as they were inherited. */
  readonly socket: string | undefined
  readonly watchdog_usec: string | undefined
  readonly watchdog_pid: string | undefined
  readonly pid: number
}

/** The program waits until the manager has read the message (5 s at most): only then may its process be gone. */
const TIMEOUT_MS = 10_000
const PATH = '/usr/bin:/bin'

/**
 * null where nobody asked. Node has no datagram sockets of the unix family, so the distribution's systemd-notify speaks
 * for us: a child, which the manager hears when the unit says NotifyAccess=all.
 */
export function serviceManager(invitation: Invitation, log: Log): ServiceManager | null {
  const { socket } = invitation
  if (socket === undefined || socket === '') return null
  return {
    watchdog_ms: watchdogMs(invitation),
    async tell(announcement, status) {
      try {
        const { exit_code, stderr, ended } = await run('systemd-notify', notifyArguments(announcement, status), {
          environment: { NOTIFY_SOCKET: socket, PATH },
          timeout_ms: TIMEOUT_MS,
        })
        if (exit_code !== 0) log.warn({ announcement, exit_code, ended, stderr }, 'the service manager was not told')
      } catch (error) {
        log.warn({ announcement, message: asLazarusError(error).message }, 'the service manager was not told')
      }
    },
  }
}

/**
 * Whether the user's manager itself is going down, with the host or the last login: then a service ends that nobody
 * wanted to end. Without a manager, or an answer of it within a second, it is not.
 */
export async function managerIsStopping(runtimeDir: string): Promise<boolean> {
  if (!existsSync(join(runtimeDir, 'systemd', 'private'))) return false
  const asked = run('systemctl', ['--user', 'is-system-running'], {
    environment: { XDG_RUNTIME_DIR: runtimeDir, PATH },
    timeout_ms: 1000,
  })
  return asked.then(({ stdout }) => stdout.toString().trim() === 'stopping').catch(() => false)
}

export const notifyArguments = (announcement: Announcement, status?: string): string[] =>
  status === undefined ? [announcement] : [announcement, `STATUS=${status.replaceAll(/\s+/g, ' ')}`]

/** The watchdog of another process, a parent's for example, is not ours. */
export function watchdogMs({ watchdog_usec, watchdog_pid, pid }: Invitation): number | null {
  if (watchdog_pid !== undefined && Number(watchdog_pid) !== pid) return null
  const usec = Number(watchdog_usec)
  return Number.isSafeInteger(usec) && usec > 0 ? usec / 1000 : null
}
