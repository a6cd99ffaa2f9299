import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lazarusProcess } from '../support/lazarus-process.ts'
import { PrivateUserManager, userManagerPossible } from '../support/user-manager.ts'
import { serviceSuite } from './service-suite.ts'

describe.runIf(userManagerPossible())('the service under a systemd manager of its own', () => {
  let manager: PrivateUserManager
  beforeAll(async () => {
    manager = await PrivateUserManager.start()
  })
  afterAll(() => manager?.[Symbol.asyncDispose]())
  serviceSuite(() => manager)
})

describe.runIf(existsSync('/usr/bin/systemctl'))('without a manager', () => {
  const nowhere = { PATH: process.env.PATH, HOME: '/nonexistent', XDG_RUNTIME_DIR: '/nonexistent' }

  test.each(['install', 'uninstall'])('%s says so, and what to do instead', async (verb) => {
    const { code, stderr } = await lazarusProcess(['service', verb], nowhere)
    expect(code).toBe(1)
    expect(stderr).toMatch(/No systemd manager of this user answers: .*\nremedy: .*enable-linger.*cron/)
  })

  test('print shows the units all the same', async () => {
    const { code, stdout } = await lazarusProcess(['service', 'print', 'lazarus-pit.service'], nowhere)
    expect(code).toBe(0)
    expect(stdout).toContain('WatchdogSec=30')
    expect((await lazarusProcess(['service', 'print', 'bogus'], nowhere)).code).toBe(2)
  })
})
