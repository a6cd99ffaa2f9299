import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lazarusProcess } from '../support/lazarus-process.ts'
import { CHECKOUT_IS_PRIVATE, PrivateUserManager, userManagerPossible } from '../support/user-manager.ts'
import { serviceSuite } from './service-suite.ts'

describe.runIf(userManagerPossible())('the service under a systemd manager of its own', () => {
  let manager: PrivateUserManager
  beforeAll(async () => {
    manager = await PrivateUserManager.start()
  })
  afterAll(() => manager?.[Symbol.asyncDispose]())
  serviceSuite(() => manager)

  test('a pit that ends with the host was stopped by a shutdown, not by its operator', async () => {
    const environment = {
      ...manager.environment,
      LAZARUS_STATE_DIR: join(manager.dir, 'shutdown'),
      LAZARUS_MISSIONS_PATH: join(manager.dir, 'missions'),
      LAZARUS_LISTEN: '127.0.0.1:0',
      DOCKER_HOST: 'unix:///nonexistent/podman.sock',
    }
    expect(await lazarusProcess(['service', 'install'], environment)).toMatchObject({ code: 0 })
    while ((await lazarusProcess(['status'], environment)).code !== 0);
    await manager.shutDown()
    const stopped = JSON.parse(await readFile(join(manager.dir, 'shutdown', 'stopped.json'), 'utf8'))
    expect(stopped.by).toBe('shutdown')
    const look = await lazarusProcess(['dead-man', '--json'], environment)
    expect(JSON.parse(look.stdout).status).toBe('stopped')
    await writeFile(join(manager.dir, 'shutdown', 'stopped.json'), JSON.stringify({ ...stopped, boot_id: 'before' }))
    const afterBoot = await lazarusProcess(['dead-man', '--json'], environment)
    expect(JSON.parse(afterBoot.stdout).status).toBe('silent')
  })
})

describe.runIf(existsSync('/usr/bin/systemctl'))('without a manager', () => {
  const nowhere = { PATH: process.env.PATH, HOME: '/nonexistent', XDG_RUNTIME_DIR: '/nonexistent' }

  test.each(['install', 'uninstall'])('%s says so, and what to do instead', async (verb) => {
    const { code, stderr } = await lazarusProcess(['service', verb], nowhere)
    expect(code).toBe(1)
    expect(stderr).toMatch(/No systemd manager of this user answers: .*\nremedy: .*enable-linger.*cron/)
  })

  test('print shows the units all the same, unless no systemd could start them', async () => {
    if (CHECKOUT_IS_PRIVATE) {
      const refused = await lazarusProcess(['service', 'print', 'lazarus-pit.service'], nowhere)
      expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('Move the checkout') })
      return
    }
    const { code, stdout } = await lazarusProcess(['service', 'print', 'lazarus-pit.service'], nowhere)
    expect(code).toBe(0)
    expect(stdout).toContain('WatchdogSec=30')
    expect((await lazarusProcess(['service', 'print', 'bogus'], nowhere)).code).toBe(2)
  })
})
