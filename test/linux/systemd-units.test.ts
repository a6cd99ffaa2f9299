import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { isStartable, quoted, type UnitFacts, units } from '../../src/linux/systemd-units.ts'

const dir = mkdtempSync(join(tmpdir(), 'lazarus units %h-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const program = join(dir, 'a node $HOME')
writeFileSync(program, '#!/bin/sh\n')
chmodSync(program, 0o755)

const facts = (systemd_version: number): UnitFacts => ({
  node: program,
  cli: join(dir, 'cli.ts'),
  as_operator: program,
  documentation: join(dir, 'operations.md'),
  environment: { LAZARUS_STATE_DIR: '/srv/a b%c"d\\e', HTTPS_PROXY: 'http://p:1' },
  systemd_version,
  dead_man_every_s: 60,
})

test('words with spaces, quotes, specifiers and control characters come back as they were', () => {
  expect(quoted('/usr/bin/node')).toBe('/usr/bin/node')
  expect(quoted('a b')).toBe('"a b"')
  expect(quoted('100%"\\\n')).toBe('"100%%\\"\\\\\\x0a"')
  const unit = units({ ...facts(257), cli: '/srv/a $HOME' })['lazarus-pit.service']
  expect(unit).toContain('serve\n')
  expect(unit).toMatch(/^ExecStart="[^"]*a node \$HOME" .*"\/srv\/a \$\$HOME" serve$/m)
  expect(['/srv/a b%c$d', '/srv/a"b', "/srv/a'b", '/srv/a\\b', '/srv/a\nb'].map(isStartable)).toEqual([
    true,
    false,
    false,
    false,
    false,
  ])
})

describe('what the pit’s unit promises', () => {
  const lines = (version: number) => units(facts(version))['lazarus-pit.service'].split('\n')

  test('agents outlive it, it is restarted after a death, and never hardened against Podman', () => {
    for (const version of [252, 254, 257]) {
      expect(lines(version)).toEqual(
        expect.arrayContaining([
          'KillMode=process',
          'Restart=on-failure',
          'RestartPreventExitStatus=2 4',
          'Delegate=yes',
          'OOMPolicy=continue',
          'UMask=0077',
        ]),
      )
      expect(lines(version).filter((line) => /^(NoNewPrivileges|System|Restrict|Protect|Private)/.test(line))).toEqual(
        [],
      )
    }
  })

  test('a manager that places it beside its cells watches it; an older one starts it in a scope', () => {
    expect(lines(254)).toEqual(
      expect.arrayContaining(['Type=notify', 'NotifyAccess=all', 'DelegateSubgroup=pit', 'WatchdogSec=30']),
    )
    expect(lines(252)).toContain('Type=exec')
    expect(lines(252).filter((line) => /^(Watchdog|DelegateSubgroup|Notify)/.test(line))).toEqual([])
  })
})

describe.runIf(existsSync('/usr/bin/systemd-analyze'))('the installed systemd understands every unit', () => {
  const installed = Number(/\d+/.exec(execFileSync('systemd-analyze', ['--version']).toString())?.[0])

  function complaints(version: number, change = (text: string) => text): string {
    const folder = join(dir, String(version))
    mkdirSync(folder, { recursive: true })
    const all = Object.entries(units(facts(version)))
    for (const [name, text] of all) writeFileSync(join(folder, name), change(text))
    const runtime = join(dir, 'run')
    mkdirSync(runtime, { recursive: true, mode: 0o700 })
    try {
      execFileSync('systemd-analyze', ['--user', '--man=no', 'verify', ...all.map(([name]) => join(folder, name))], {
        env: {
          PATH: '/usr/bin:/bin',
          XDG_RUNTIME_DIR: runtime,
          HOME: dir,
          SYSTEMD_UNIT_PATH: `${folder}:/usr/lib/systemd/user`,
        },
        stdio: 'pipe',
      })
      return ''
    } catch (error) {
      return String((error as { stderr: Buffer }).stderr)
    }
  }

  test('as install would write them here', () => {
    expect(complaints(installed)).toBe('')
  })

  test('and the check itself sees a wrong one', () => {
    expect(complaints(installed, (text) => text.replaceAll('a node $HOME', 'no node'))).toMatch(/no node/)
  })
})
