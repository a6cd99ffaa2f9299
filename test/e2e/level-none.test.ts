import { expect, test } from 'vitest'
import { PitProcess } from '../support/pit-process.ts'

test('level none works when the configuration allows it by name, and promises nothing', async () => {
  const pit = await PitProcess.create()
  await using _ = pit
  await pit.configure({ allow_level_none: true })
  await pit.start()
  const { body: mission } = await pit.call('POST', '/v1/missions', { mission_name: 'dev', isolation_level: 'none' })
  const seats = `/v1/missions/${mission.mission_id}/seats`
  const { body: seat } = await pit.call('POST', seats, { agent_id: 'dev' })
  expect(seat.isolation).toMatchObject({
    level: 'none',
    declared: { namespaces: [], no_new_privs: false, seccomp: false, network: 'host' },
  })
  const script = 'pwd; id -u; echo x > f && git add f && git commit -qm Dev && git log --format=%s'
  const { body } = await pit.call('POST', `${seats}/dev/exec`, { command: ['sh', '-c', script] })
  expect(body).toMatchObject({ exit_code: 0, stdout: '/workspace\n1000\nDev\n' })
  expect((await pit.call('POST', `${seats}/dev/collect`)).body).toMatchObject({ outcome: 'delivered' })
  expect((await pit.call('DELETE', `/v1/missions/${mission.mission_id}`)).body).toMatchObject({ status: 'destroyed' })
})
