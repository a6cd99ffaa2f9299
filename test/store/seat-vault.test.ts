import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createSeatVault } from '../../src/store/seat-vault.ts'

const MISSION = '0b7c7f8e-53c7-4d2a-9d55-1f7c3f1b2a10'
const builder = { mission_id: MISSION, agent_id: 'builder' }
const tester = { mission_id: MISSION, agent_id: 'tester' }

describe('the seat vault', () => {
  let dir: string
  beforeEach(() => {
    dir = join(mkdtempSync(join(tmpdir(), 'lazarus-vault-')), 'vault')
  })
  afterEach(() => rmSync(join(dir, '..'), { recursive: true, force: true }))

  it('gives back what was put, to a later pit too; the last put counts', async () => {
    await createSeatVault({ dir }).put(builder, { API_KEY: 'first' })
    await createSeatVault({ dir }).put(builder, { API_KEY: 'line one\nline “two”', EMPTY: '' })
    await createSeatVault({ dir }).put(tester, {})
    expect(await createSeatVault({ dir }).get(builder)).toEqual({ API_KEY: 'line one\nline “two”', EMPTY: '' })
    expect(await createSeatVault({ dir }).get(tester)).toEqual({})
  })

  it('is readable for nobody else', async () => {
    await createSeatVault({ dir }).put(builder, { A: 'b' })
    expect(statSync(dir).mode & 0o777).toBe(0o700)
    expect(statSync(join(dir, MISSION)).mode & 0o777).toBe(0o700)
    expect(statSync(join(dir, MISSION, 'builder.json')).mode & 0o777).toBe(0o600)
  })

  it('forgets, and the folder of a mission goes with its last seat', async () => {
    const vault = createSeatVault({ dir })
    await vault.put(builder, { A: 'b' })
    await vault.put(tester, { A: 'c' })
    writeFileSync(join(dir, MISSION, '.builder.json.dead.tmp'), 'left by a kill')
    await vault.remove(builder)
    await vault.remove(builder)
    await expect(vault.get(builder)).rejects.toMatchObject({ code: 'seat_not_found' })
    expect(readdirSync(join(dir, MISSION))).toEqual(['tester.json'])
    await vault.remove(tester)
    expect(existsSync(join(dir, MISSION))).toBe(false)
  })

  it('tells a damaged file without telling its content', async () => {
    const vault = createSeatVault({ dir })
    await vault.put(builder, { A: 'b' })
    writeFileSync(join(dir, MISSION, 'builder.json'), '{"A": "hunter2"')
    const error = await vault.get(builder).catch((thrown: Error) => thrown)
    expect(error).toMatchObject({ code: 'internal', message: expect.stringContaining('builder') })
    expect(JSON.stringify([(error as Error).message, (error as Error).stack, (error as Error).cause])).not.toContain(
      'hunter2',
    )
  })

  it.each(['..', '../x', 'a/b', '', 'A', 'a\0', '__proto__', 'x'.repeat(300)])(
    'takes no id that is none: %j',
    async (odd) => {
      const vault = createSeatVault({ dir })
      for (const name of [
        { mission_id: MISSION, agent_id: odd },
        { mission_id: odd, agent_id: 'builder' },
      ]) {
        await expect(vault.put(name, {})).rejects.toMatchObject({ code: 'invalid_request' })
        await expect(vault.get(name)).rejects.toMatchObject({ code: 'invalid_request' })
        await expect(vault.remove(name)).rejects.toMatchObject({ code: 'invalid_request' })
      }
    },
  )
})
