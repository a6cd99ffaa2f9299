import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { attacksOfLevel3 } from '../../../src/drivers/podman/probe.ts'
import { attackChecks, attackScript } from '../../../src/drivers/shared/attacks.ts'
import { run } from '../../../src/linux/run.ts'
import { levelPolicy, openHarness } from './harness.ts'

const never = new AbortController().signal

describe('level_3 podman probe', () => {
  it('attacks a throw-away container and leaves nothing', async () => {
    await using harness = await openHarness()
    const report = await harness.driver.probe(never)
    expect(report.checks.filter(({ name, ok }) => !ok && !name.startsWith('cgroup.'))).toEqual([])
    expect(report.effective).toMatchObject({
      no_new_privs: true,
      seccomp: true,
      capabilities: [],
      network: 'none',
      workspace: 'overlay',
    })
    expect(['ready', 'degraded']).toContain(report.status)
    const tried = ['home_read', 'nested_user_namespace', 'mount', 'runtime_socket', 'monitor', 'host_processes']
    expect(report.checks.map(({ name }) => name)).toEqual(expect.arrayContaining(tried))
    expect(await harness.leftovers()).toEqual([])
  })

  it('finds the same attacks open outside of a container: positive control', async () => {
    const home = await mkdtemp(join(tmpdir(), 'lazarus-home-'))
    await writeFile(join(home, 'canary'), 'canary\n')
    const attacks = attacksOfLevel3(await levelPolicy())
    const pid = String(process.pid)
    const args = ['-c', attackScript(attacks), 'probe', home, pid, join(home, 'canary'), pid]
    const result = await run('/bin/sh', args, { environment: { PATH: '/usr/bin:/bin' } })
    const open = attackChecks(attacks, result.stdout.toString()).filter(({ ok }) => !ok)
    const expected = [
      'home_read',
      'home_list',
      'home_write',
      'home_by_symlink',
      'host_processes',
      'runtime_socket',
      'monitor',
    ]
    expect(open.map(({ name }) => name)).toEqual(expect.arrayContaining([...expected, 'nested_user_namespace']))
    await rm(home, { recursive: true })
    await rm('/tmp/.door', { force: true })
  })

  it('says what is wrong when Podman cannot be reached, and does not throw', async () => {
    await using harness = await openHarness(undefined, { socket: '/nonexistent/podman.sock' })
    const report = await harness.driver.probe(never)
    expect(report).toMatchObject({ status: 'unavailable', effective: null })
    expect(report.reason).toContain('does not answer')
    expect(report.remedy).toContain('podman.socket')
  })

  it('refuses a level whose image is missing, with the remedy', async () => {
    const policy = { ...(await levelPolicy()), image: 'localhost/no-such-image:1' }
    await using harness = await openHarness(policy, { policy })
    const report = await harness.driver.probe(never)
    expect(report).toMatchObject({ status: 'unavailable' })
    expect(report.reason).toContain('localhost/no-such-image:1')
    expect(report.remedy).toContain('images/cell/build')
  })
})
