import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROUTES, type RouteId } from '../../src/contract/api.ts'
import {
  applicationOf,
  bearer,
  MISSION,
  nameOf,
  OPERATOR,
  OTHER_MISSION,
  raise,
  type Stage,
  seatOf,
  seatToken,
  send,
} from './stage.ts'

/**
 * Who passes the gate of each route, written by hand. own, other, mission: the roles (l, w, r, a) that may call the
 * route on their own seat, on another seat of their mission, and on their mission.
 */
const ALLOWED: Record<RouteId, { everybody?: true; own?: string; other?: string; mission?: string }> = {
  healthz: { everybody: true },
  metrics: {},
  openapi: { everybody: true },
  host: {},
  status: {},
  self: { mission: 'lwra' },
  mission_create: {},
  mission_list: {},
  mission_inspect: { mission: 'lwra' },
  mission_pause: { mission: 'l' },
  mission_resume: { mission: 'l' },
  mission_complete: { mission: 'l' },
  mission_archive: {},
  mission_destroy: {},
  seat_add: {},
  seat_list: { mission: 'lwra' },
  seat_read: { own: 'lwra', other: 'lwra' },
  seat_withdraw: { own: 'lwra' },
  seat_exec: { own: 'lwr' },
  seat_logs: { own: 'lwra', other: 'la' },
  seat_collect: { own: 'lw' },
  seat_diff: { own: 'lwra', other: 'lwra' },
  seat_usage: { own: 'lwra', other: 'l' },
  seat_kill: { other: 'l' },
  checkpoint_take: { own: 'lw' },
  checkpoint_list: { own: 'lw', other: 'l' },
  checkpoint_verify: { own: 'lw', other: 'l' },
  checkpoint_fork: {},
  checkpoint_remove: {},
  checkpoint_prune: {},
  seat_restore: {},
  seat_revive: { other: 'l' },
  revival_list: {},
  revival_approve: {},
  revival_decline: {},
  incident_list: {},
  heartbeat: { own: 'lwra' },
  agent_health: { own: 'lwra' },
  health: {},
  homes_seal: {},
  homes_verify: {},
  cells_scan: {},
  cell_init: {},
  events: { mission: 'lwra' },
}

const ROLES = ['lead', 'write', 'read', 'audit'] as const
const seats = [...ROLES.map((role) => seatOf(role, { role })), seatOf('somebody')]

let stage: Stage
beforeAll(async () => {
  stage = await raise(applicationOf(seats), { limits: { requests_per_second: 10_000 } })
  for (const seat of seats) await stage.doors.open(nameOf(seat))
})
afterAll(() => stage[Symbol.asyncDispose]())

function target(id: RouteId, mission: string, agent: string): string {
  const path = ROUTES[id].path.replace(':mission_id', mission).replace(':agent_id', agent)
  return id === 'events' ? `${path}?mission_id=${mission}` : path
}

const passes = (status: number) => status !== 401 && status !== 403
const ask = (id: RouteId, path: string, headers: Record<string, string>, socketPath?: string) =>
  send(stage.at, path, { method: ROUTES[id].method, headers, ...(socketPath ? { socketPath } : {}) })

describe.each(Object.keys(ROUTES) as RouteId[])('%s', (id) => {
  const { everybody = false, own = '', other = '', mission = '' } = ALLOWED[id]
  const namesSeat = ROUTES[id].path.includes(':agent_id')

  test('without a token', async () => {
    const answer = await ask(id, target(id, MISSION, 'lead'), {})
    expect(answer.status === 401).toBe(!everybody)
  })

  test('with the token of the operator, and through the operator socket', async () => {
    expect(passes((await ask(id, target(id, MISSION, 'lead'), OPERATOR)).status)).toBe(true)
    expect(passes((await ask(id, target(id, MISSION, 'lead'), {}, stage.at.socket)).status)).toBe(true)
  })

  test.each(ROLES)('as a %s seat: its own, another, and a foreign mission', async (role) => {
    const letter = role[0]!
    const headers = bearer(seatToken(role))
    const may = (letters: string) => everybody || letters.includes(letter)
    expect(passes((await ask(id, target(id, MISSION, role), headers)).status)).toBe(may(namesSeat ? own : mission))
    expect(passes((await ask(id, target(id, MISSION, 'somebody'), headers)).status)).toBe(
      may(namesSeat ? other : mission),
    )
    const foreign = await ask(id, target(id, OTHER_MISSION, role), headers)
    const namesNoMission = namesSeat && !ROUTES[id].path.includes(':mission_id')
    expect(passes(foreign.status)).toBe(everybody || id === 'self' || (namesNoMission && may(own)))
  })

  test.each(ROLES)('a %s seat through its own socket passes where its token does', async (role) => {
    const socket = `${await stage.doors.open(nameOf(seatOf(role, { role })))}/cell.sock`
    const path = target(id, MISSION, role)
    const bySocket = await ask(id, path, {}, socket)
    const byToken = await ask(id, path, bearer(seatToken(role)))
    expect(passes(bySocket.status)).toBe(passes(byToken.status))
  })
})

test('a refusal is the same for a mission that exists and for one that does not', async () => {
  const headers = bearer(seatToken('lead'))
  const refusals = await Promise.all(
    [OTHER_MISSION, '11111111-2222-4333-8444-555555555555', 'no-id-at-all'].map((id) =>
      send(stage.at, `/v1/missions/${id}`, { headers }),
    ),
  )
  for (const { status, json } of refusals) expect({ status, json }).toEqual({ status: 403, json: refusals[0]!.json })
})

test('events for a seat need its own mission_id', async () => {
  const headers = bearer(seatToken('write'))
  expect((await send(stage.at, '/v1/events', { headers })).status).toBe(403)
  expect((await send(stage.at, `/v1/events?mission_id=${OTHER_MISSION}`, { headers })).status).toBe(403)
  expect(
    (await send(stage.at, `/v1/events?mission_id=${OTHER_MISSION}&mission_id=${MISSION}`, { headers })).status,
  ).toBe(403)
  expect((await send(stage.at, `/v1/events?mission_id=${MISSION}`, { headers })).status).toBe(200)
})

test('a wrong token, a malformed one and none are 401; a token on a cell socket changes nothing', async () => {
  for (const authorization of ['Bearer wrong', 'Basic abc', 'Bearer ', `Bearer ${'x'.repeat(2000)}`]) {
    const answer = await send(stage.at, '/v1/missions', { headers: { authorization } })
    expect(answer.status, authorization.slice(0, 20)).toBe(401)
    expect(answer.headers['www-authenticate']).toContain('Bearer')
  }
  const socketPath = `${await stage.doors.open(nameOf(seatOf('read', { role: 'read' })))}/cell.sock`
  expect((await send(stage.at, '/v1/missions', { headers: OPERATOR, socketPath })).status).toBe(403)
  expect((await send(stage.at, '/v1/missions', { headers: OPERATOR })).status).toBe(200)
})
