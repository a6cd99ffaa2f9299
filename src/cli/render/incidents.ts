import type { Incident } from '../../contract/revival.ts'
import { shortCheckpoint } from './checkpoints.ts'
import type { Colours } from './colour.ts'
import { ago, duration } from './human.ts'
import { describeExit } from './seats.ts'
import { type Column, table } from './table.ts'

const MISSION: Column<Incident> = { title: 'MISSION', value: (one) => one.mission_id.slice(0, 8) }

const time = (ms: number | null): string | null => (ms === null ? null : duration(ms))

/** Newest first, as they come. */
export const incidentTable = (
  incidents: readonly Incident[],
  colours: Colours,
  now_ms: number,
  withMission: boolean,
): string =>
  table<Incident>(
    [
      { title: 'WHEN', value: (one) => ago(one.died_at, now_ms) },
      ...(withMission ? [MISSION] : []),
      { title: 'AGENT', value: (one) => one.agent_id },
      { title: 'GEN', value: (one) => one.generation, align: 'right' },
      { title: 'CAUSE', value: describeExit },
      { title: 'DETECT', value: (one) => time(one.time_to_detect_ms), align: 'right' },
      { title: 'REVIVE', value: (one) => time(one.time_to_revive_ms), align: 'right' },
      { title: 'FROM', value: (one) => one.resumed_from && shortCheckpoint(one.resumed_from) },
      { title: 'LOST', value: (one) => lost(one), align: 'right' },
      {
        title: 'OUTCOME',
        value: (one) => one.outcome,
        paint: (cell, value) => cell.replace(value, colours.status(value)),
      },
      { title: 'REASON', value: (one) => one.reason },
    ],
    incidents,
  )

const lost = ({ work_lost_ms }: Incident): string | null => (work_lost_ms === 0 ? 'nothing' : time(work_lost_ms))
