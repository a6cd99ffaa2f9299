import type { Mission } from '../../contract/mission.ts'
import { ago, count, duration } from './human.ts'
import { type Seen, seatTable, type Waiting } from './seats.ts'
import { facts, table } from './table.ts'

export const missionTable = ({ colours, io }: Seen, missions: readonly Mission[]): string =>
  table<Mission>(
    [
      { title: 'ID', value: (one) => one.mission_id.slice(0, 8) },
      { title: 'NAME', value: (one) => one.mission_name },
      {
        title: 'STATUS',
        value: (one) => one.status,
        paint: (cell, value) => cell.replace(value, colours.status(value)),
      },
      { title: 'LEVEL', value: (one) => one.isolation_level },
      { title: 'SEATS', value: (one) => `${one.health.active}/${one.health.seats}`, align: 'right' },
      { title: 'CREATED', value: (one) => ago(one.created_at, io.now()) },
    ],
    missions,
  )

export function describeMission(seen: Seen, mission: Mission, waiting: Waiting): string {
  const { base } = mission
  const about = facts([
    ['id', mission.mission_id],
    ['name', mission.mission_name],
    ['status', mission.status],
    ['level', mission.isolation_level],
    [
      'base',
      base.commit === null
        ? 'empty'
        : `${base.commit.slice(0, 10)}${base.ref === null || base.ref === base.commit ? '' : ` (${base.ref})`} of ${base.repo}`,
    ],
    ['worktrees', mission.workspace],
    ['created', `${ago(mission.created_at, seen.io.now())} by ${mission.created_by}`],
    ['timeout', duration(mission.timeout * 1000)],
    ['revival', describeRevival(mission.policies)],
    ['checkpoints', `every ${duration(mission.policies.checkpoint_interval * 1000)} when something changed`],
    ['seats', `${mission.health.seats} of ${mission.max_agents}${byStatus(mission)}`],
    ['directory', mission.directory],
    ['events', mission.events],
  ])
  return mission.seats.length === 0 ? about : `${about}\n${seatTable(seen, mission.seats, waiting)}`
}

/** ": 2 active, 1 quarantined" */
function byStatus({ seats }: Mission): string {
  const groups = Object.entries(Object.groupBy(seats, ({ status }) => status))
  return groups.length === 0 ? '' : `: ${groups.map(([status, some]) => `${some.length} ${status}`).join(', ')}`
}

function describeRevival(policies: Mission['policies']): string {
  const { auto_revive, max_retries, retry_window, substitute_agents, hung_after, on_success } = policies
  return [
    auto_revive,
    ...(auto_revive === 'no' ? [] : [`at most ${count(max_retries, 'time')} within ${duration(retry_window * 1000)}`]),
    ...(substitute_agents.length === 0 ? [] : [`then ${substitute_agents.join(', ')}`]),
    ...(hung_after === null ? [] : [`hung after ${duration(hung_after * 1000)}`]),
    ...(on_success === 'idle' ? [] : [`on success ${on_success}`]),
  ].join('; ')
}
