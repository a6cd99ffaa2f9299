import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { attackChecks, attackScript, attacksFor } from '../../../src/drivers/shared/attacks.ts'
import { policyOf } from '../../support/policies.ts'
import { endAll, type HullHarness, never, openHarness } from './trial-seat.ts'

describe('the attacks of the probe', () => {
  const attacks = attacksFor(policyOf('level_1'))

  it('succeed unconfined: positive control', async () => {
    const home = await mkdtemp(join(tmpdir(), 'lazarus-home-'))
    await writeFile(join(home, 'canary'), 'canary')
    const output = execFileSync('/bin/sh', ['-c', attackScript(attacks), 'probe', home, String(process.pid)], {
      encoding: 'utf8',
    })
    const open = attackChecks(attacks, output).filter(({ ok }) => !ok)
    expect(open.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'home_read',
        'home_list',
        'home_write',
        'home_by_symlink',
        'home_by_umount',
        'host_processes',
        'setuid',
        'nested_user_namespace',
      ]),
    )
    expect(await readFile(join(home, 'canary'), 'utf8')).toBe('x\n')
    await rm(home, { recursive: true })
    await rm('/tmp/.door', { force: true })
  })

  it('count as open when they could not be tried', () => {
    expect(attackChecks(attacks, '').every(({ ok }) => !ok)).toBe(true)
  })
})

describe.each(['level_1', 'level_2'] as const)('probe of %s', (level) => {
  let harness: HullHarness
  beforeAll(async () => {
    harness = await openHarness(level)
  })
  afterAll(async () => {
    expect(await endAll(harness)).toEqual([])
    await harness[Symbol.asyncDispose]()
  })

  it('finds every promise kept but the limits that this host cannot keep, and leaves nothing', async () => {
    const report = await harness.driver.probe(never)
    expect(report.checks.filter(({ ok }) => !ok)).toEqual([])
    expect(report.checks.length).toBeGreaterThan(12)
    expect(report.effective?.workspace).toBe('overlay')
    const degraded = harness.deps.cgroups === null
    expect(report.status).toBe(degraded ? 'degraded' : 'ready')
    if (degraded)
      expect(report).toMatchObject({
        reason: expect.stringContaining('limits.memory'),
        remedy: expect.stringContaining('cgroup'),
      })
    expect(await harness.driver.list()).toEqual([])
    expect(await harness.leftovers()).toEqual([])
  })

  it('may run twice at once', async () => {
    const reports = await Promise.all([harness.driver.probe(never), harness.driver.probe(never)])
    expect(reports.map(({ status }) => status)).not.toContain('unavailable')
  })
})
