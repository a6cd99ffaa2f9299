import { mkdtemp, rm } from 'node:fs/promises'
import { afterAll, beforeAll, describe } from 'vitest'
import { type ServiceHost, serviceSuite } from '../e2e/service-suite.ts'

const NAMES = ['PATH', 'HOME', 'USER', 'XDG_RUNTIME_DIR', 'DBUS_SESSION_BUS_ADDRESS']

/** The manager that this login has: cells get cgroups with limits below the pit's own unit. */
describe('the service under the manager of an ordinary user', () => {
  let host: ServiceHost
  beforeAll(async () => {
    const environment = Object.fromEntries(
      NAMES.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])),
    )
    host = { dir: await mkdtemp('/var/tmp/service-'), environment }
  })
  afterAll(() => rm(host.dir, { recursive: true, force: true }))
  serviceSuite(() => host)
})
