import { expect, test } from 'vitest'
import { applicationOf, MISSION, missionOf, OPERATOR, raise, send } from './stage.ts'

test('a mission is read through TCP with the token and through the socket without one', async () => {
  await using stage = await raise(applicationOf([]))
  const path = `/v1/missions/${MISSION}`
  expect((await send(stage.at, path, { headers: OPERATOR })).json).toEqual(missionOf())
  expect((await send(stage.at, path, { socketPath: stage.at.socket })).json).toEqual(missionOf())
})
