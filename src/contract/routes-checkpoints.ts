import { z } from 'zod'
import {
  checkpoint,
  checkpointId,
  checkpointRequest,
  checkpointVerification,
  pruneReport,
  pruneRequest,
  restoreRequest,
} from './checkpoint.ts'
import { forkRequest } from './fork.ts'
import { missionId } from './ids.ts'
import { incident, revival, revivalId, reviveRequest } from './revival.ts'
import { json, list, OPERATOR, pageQuery, type Route, seatParams } from './route.ts'
import { revivedSeat, seat, spawnedSeat } from './seat.ts'

const checkpointParams = seatParams.extend({ checkpoint_id: checkpointId })
const revivalParams = z.strictObject({ revival_id: revivalId })
const AT = '/v1/missions/:mission_id/seats/:agent_id'

/** What outlives an agent, and how it comes back. */
export const CHECKPOINT_ROUTES = {
  checkpoint_take: {
    method: 'POST',
    path: `${AT}/checkpoints`,
    tag: 'checkpoints',
    summary: 'Take a checkpoint; durable when it answers',
    access: { own_seat: ['lead', 'write'] },
    params: seatParams,
    body: checkpointRequest,
    answer: json(checkpoint, 201),
  },
  checkpoint_list: {
    method: 'GET',
    path: `${AT}/checkpoints`,
    tag: 'checkpoints',
    summary: 'List checkpoints, oldest first',
    access: { own_seat: ['lead', 'write'], other_seat: ['lead'] },
    params: seatParams,
    query: pageQuery,
    answer: json(list('checkpoints', checkpoint)),
  },
  checkpoint_verify: {
    method: 'POST',
    path: `${AT}/checkpoints/:checkpoint_id/verify`,
    tag: 'checkpoints',
    summary: 'Read it again whole and compare; 422 checkpoint_corrupt when anything differs',
    access: { own_seat: ['lead', 'write'], other_seat: ['lead'] },
    params: checkpointParams,
    answer: json(checkpointVerification),
  },
  checkpoint_fork: {
    method: 'POST',
    path: `${AT}/checkpoints/:checkpoint_id/fork`,
    tag: 'checkpoints',
    summary: 'A new seat, here or in another mission of the same base, that begins as this checkpoint',
    access: OPERATOR,
    params: checkpointParams,
    body: forkRequest,
    answer: json(spawnedSeat, 201),
  },
  checkpoint_remove: {
    method: 'DELETE',
    path: `${AT}/checkpoints/:checkpoint_id`,
    tag: 'checkpoints',
    summary: 'Delete one checkpoint',
    access: OPERATOR,
    params: checkpointParams,
    answer: json(checkpoint),
  },
  checkpoint_prune: {
    method: 'POST',
    path: `${AT}/checkpoints/prune`,
    tag: 'checkpoints',
    summary: 'Delete the oldest beyond the retention, or beyond `keep`',
    access: OPERATOR,
    params: seatParams,
    body: pruneRequest,
    answer: json(pruneReport),
  },
  seat_restore: {
    method: 'POST',
    path: `${AT}/restore`,
    tag: 'checkpoints',
    summary: 'Go back to a checkpoint; one of the present is taken first',
    access: OPERATOR,
    params: seatParams,
    body: restoreRequest,
    answer: json(revivedSeat),
  },
  seat_revive: {
    method: 'POST',
    path: `${AT}/revive`,
    tag: 'revivals',
    summary: 'Bring a dead or quarantined seat back, from its layer, a checkpoint, or with a substitute',
    access: { other_seat: ['lead'] },
    params: seatParams,
    body: reviveRequest,
    answer: json(revivedSeat),
  },
  revival_list: {
    method: 'GET',
    path: '/v1/revivals',
    tag: 'revivals',
    summary: 'Deaths that wait to be undone, oldest first',
    access: OPERATOR,
    query: pageQuery,
    answer: json(list('revivals', revival)),
  },
  revival_approve: {
    method: 'POST',
    path: '/v1/revivals/:revival_id/approve',
    tag: 'revivals',
    summary: 'Let a revival go on that asks first',
    access: OPERATOR,
    params: revivalParams,
    answer: json(seat),
  },
  revival_decline: {
    method: 'POST',
    path: '/v1/revivals/:revival_id/decline',
    tag: 'revivals',
    summary: 'Give the agent up; its layer stays to be collected',
    access: OPERATOR,
    params: revivalParams,
    answer: json(seat),
  },
  incident_list: {
    method: 'GET',
    path: '/v1/incidents',
    tag: 'revivals',
    summary: 'Every death, with what it cost, newest first',
    access: OPERATOR,
    query: pageQuery.extend({ mission_id: missionId.optional() }),
    answer: json(list('incidents', incident)),
  },
} as const satisfies Record<string, Route>
