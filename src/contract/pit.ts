import { z } from 'zod'
import { levelReport } from './host.ts'
import { isoDateTime } from './ids.ts'

/** `<state_dir>/pit.json`: where the running pit is. Gone after a clean stop; one that is left over names a dead process. */
export const pitRecord = z.object({
  pid: z.int().positive(),
  start_time: z.string().nullable().meta({ description: 'Boot id and ticks: names the process beyond its pid' }),
  started_at: isoDateTime,
  version: z.string(),
  socket: z.string(),
  host: z.string(),
  port: z.int(),
  url: z.string(),
})
export type PitRecord = z.infer<typeof pitRecord>

/** `<state_dir>/stopped.json`: the last pit was asked to stop, so its silence is no outage. Gone when one starts. */
export const stopRecord = z.object({
  pid: z.int().positive(),
  at: isoDateTime,
  by: z.enum(['operator', 'shutdown']).meta({ description: 'shutdown: only until the host is up again' }),
  boot_id: z.string(),
})
export type StopRecord = z.infer<typeof stopRecord>

/** What a state directory tells of its pit to who cannot ask it. */
export interface LifeSigns {
  readonly pit: PitRecord | null
  readonly stopped: StopRecord | null
  /** Whether exactly the process of `pit` lives. */
  readonly alive: boolean
}

const counts = z.record(z.string(), z.int())

/** Of the process itself. */
export const pitSelf = z.strictObject({
  pid: z.int().positive(),
  version: z.string(),
  started_at: isoDateTime,
  socket: z.string().nullable(),
  url: z.string().nullable(),
  state_dir: z.string(),
  missions_path: z.string(),
  config: z.string().meta({ description: 'The configuration file, which may not exist' }),
})
export type PitSelf = z.infer<typeof pitSelf>

export const pitStatus = z.strictObject({
  status: z.literal('ok'),
  ...pitSelf.shape,
  uptime_s: z.number(),
  recovered: z.boolean().meta({ description: 'Whether what an earlier pit left is adopted' }),
  missions: counts.meta({ description: 'Those that are not over, by status' }),
  seats: counts.meta({ description: 'Seats of those missions, by status' }),
  agents: counts.meta({ description: 'By health' }),
  revivals: z.strictObject({ waiting: z.int(), awaiting_approval: z.int() }),
  last_sweep: isoDateTime.nullable(),
  levels: z
    .array(levelReport.pick({ level: true, status: true, reason: true }))
    .meta({ description: 'As far as they are probed' }),
})
export type PitStatus = z.infer<typeof pitStatus>
