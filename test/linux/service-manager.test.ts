import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, describe, expect, test } from 'vitest'
import { silentLog } from '../../src/kernel/log.ts'
import { notifyArguments, serviceManager, watchdogMs } from '../../src/linux/service-manager.ts'

const dir = mkdtempSync(join(tmpdir(), 'lazarus-notify-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** systemd's own half is in the machine suite; here Perl, which every Debian has, takes the datagrams. */
const LISTENS = `
  use IO::Socket::UNIX; use Socket; $| = 1;
  my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die $!;
  print "listens\\n";
  while (defined $socket->recv(my $text, 4096)) { $text =~ tr/\\n/ /; print "$text\\n" }`

async function listener(path: string) {
  const child = spawn('perl', ['-e', LISTENS, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  await lines.next()
  return {
    next: async () => String((await lines.next()).value).trim(),
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  }
}

const invitation = (socket: string | undefined) => ({
  socket,
  watchdog_usec: '30000000',
  watchdog_pid: undefined,
  pid: 7,
})
const hasSystemd = existsSync('/usr/bin/systemd-notify')

describe('a service manager', () => {
  test.runIf(hasSystemd)('is told by the real systemd-notify, each word once it was taken', async () => {
    const socket = join(dir, 'notify')
    using manager = await listener(socket)
    const ours = serviceManager(invitation(socket), silentLog)
    await ours?.tell('READY=1', 'listens on\nhere')
    await ours?.tell('WATCHDOG=1')
    await ours?.tell('STOPPING=1')
    const heard: string[] = []
    while (!heard.includes('STOPPING=1')) heard.push(await manager.next())
    expect(heard.filter((line) => line !== 'BARRIER=1')).toEqual([
      'READY=1 STATUS=listens on here',
      'WATCHDOG=1',
      'STOPPING=1',
    ])
  })

  test('that is not there is no reason to fail', async () => {
    const warned: string[] = []
    const log = { ...silentLog, warn: (_fields: object, message: string) => void warned.push(message) }
    await serviceManager(invitation(join(dir, 'nobody')), log)?.tell('READY=1')
    expect(warned).toEqual(['the service manager was not told'])
  })

  test('that did not ask is told nothing', () => {
    expect(serviceManager(invitation(undefined), silentLog)).toBeNull()
    expect(serviceManager(invitation(''), silentLog)).toBeNull()
  })
})

test('the watchdog of another process is not ours', () => {
  const of = (watchdog_usec?: string, watchdog_pid?: string) =>
    watchdogMs({ socket: '/s', watchdog_usec, watchdog_pid, pid: 7 })
  expect(of('30000000')).toBe(30_000)
  expect(of('30000000', '7')).toBe(30_000)
  expect(of('30000000', '8')).toBeNull()
  for (const nothing of [undefined, '', '0', '-5', 'soon']) expect(of(nothing)).toBeNull()
})

test('a status is one line, and no other assignment', () => {
  expect(notifyArguments('READY=1', 'a\nWATCHDOG=trigger')).toEqual(['READY=1', 'STATUS=a WATCHDOG=trigger'])
})
