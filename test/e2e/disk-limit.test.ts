import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PitProcess } from '../support/pit-process.ts'

const MIB = 1024 ** 2
const LIMITS = { disk: 8 * MIB }

let pit: PitProcess
beforeAll(async () => {
  pit = await PitProcess.start()
})
afterAll(() => pit?.[Symbol.asyncDispose]())

/** So many files of a mebibyte in each of both places: none is large, neither place alone is over the limit. */
const write = (files: number): string[] => {
  const one = 'head -c 1048576 /dev/urandom'
  const each = `for n in $(seq ${files}); do ${one} >/workspace/$n; ${one} >/home/agent/$n; done`
  return ['sh', '-c', `${each}; echo written; exec sleep infinity`]
}

describe.each(['level_1', 'level_2', 'level_3'])('the disk limit at %s', (level) => {
  test('a seat that holds more than it may in all is ended, and says why; one that holds less lives', async () => {
    const { body: mission } = await pit.call('POST', '/v1/missions', {
      mission_name: 'disk',
      isolation_level: level,
      policies: { auto_revive: 'no' },
    })
    const seats = `/v1/missions/${mission.mission_id}/seats`
    const seat = async (agent_id: string, files: number) =>
      (await pit.call('POST', seats, { agent_id, command: write(files), limits: LIMITS })).body
    const modest = await seat('modest', 2)
    expect(modest.isolation.effective.limits.disk).toEqual({ value: 8 * MIB, enforced_by: 'accounting' })
    const { generation } = await seat('greedy', 6)

    const dead = await pit.until(`${seats}/greedy`, ({ status }) => status === 'dead', 120)
    expect(dead.exit).toMatchObject({ cause: 'limit', signal: 'SIGKILL' })
    const { body } = await pit.call('GET', `/v1/events?mission_id=${mission.mission_id}&types=end_decided`)
    const why = expect.stringMatching(/^It holds \d+ bytes on disk; its limit is 8388608$/)
    expect(body.events).toMatchObject([{ agent_id: 'greedy', data: { generation, cause: 'limit', why } }])
    expect((await pit.call('GET', `${seats}/greedy/logs`)).body, 'no file was too large').toContain('written')

    const { bytes } = (await pit.call('GET', `${seats}/modest/usage`)).body
    expect([bytes > 3 * MIB, bytes < 8 * MIB]).toEqual([true, true])
    expect((await pit.call('GET', `${seats}/modest`)).body.status).toBe('active')
    await pit.call('DELETE', `/v1/missions/${mission.mission_id}?force=true`)
  }, 180_000)
})
