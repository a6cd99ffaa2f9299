import { describe, expect, test } from 'vitest'
import { installService, printUnits, uninstallService } from '../../src/main/user-service.ts'
import { CHECKOUT_IS_PRIVATE } from '../support/user-manager.ts'

describe('root', () => {
  test.each([
    ['install', () => installService({}, 0, '/var/empty', true)],
    ['uninstall', () => uninstallService({}, 0)],
  ])('%s is refused, and the remedy is named', async (_verb, act) => {
    await expect(act()).rejects.toMatchObject({
      code: 'forbidden',
      remedy: expect.stringContaining('bin/as-operator bin/lazarus service install'),
    })
  })
})

/** Otherwise systemd could start nothing from here, which test/e2e/service.test.ts sees refused. */
test.skipIf(CHECKOUT_IS_PRIVATE)(
  'what the pit reads of its environment goes into the units, and nothing else',
  async () => {
    const printed = await printUnits(
      {
        PATH: '/usr/bin:/bin',
        LAZARUS_LISTEN: '127.0.0.1:1',
        LAZARUS_TOKEN: 'secret',
        SSH_AUTH_SOCK: '/s',
        HOME: '/var/empty',
      },
      '/srv/state',
    )
    const environment = printed['lazarus-pit.service'].split('\n').filter((line) => line.startsWith('Environment='))
    expect(environment.map((line) => line.slice('Environment='.length).split('=')[0])).toEqual([
      'PATH',
      'LAZARUS_LISTEN',
      'LAZARUS_STATE_DIR',
    ])
    expect(environment).toContain('Environment=LAZARUS_STATE_DIR=/srv/state')
  },
)
