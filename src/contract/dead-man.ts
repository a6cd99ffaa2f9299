import { z } from 'zod'
import { isoDateTime } from './ids.ts'

/** What an alert says: on stdin of the command, as the body of the webhook, as a line of the file. */
export const deadManAlert = z.strictObject({
  event: z.enum(['pit_dead', 'pit_back']),
  outage_id: z.string().meta({ description: 'The same in the alert and in the note that ends it' }),
  message: z.string(),
  reason: z.string(),
  host: z.string(),
  state_dir: z.string(),
  pid: z.int().nullable().meta({ description: 'Of the pit that is, or was, there last' }),
  silent_s: z.number(),
  since: isoDateTime.meta({ description: 'The last sign of life, by the wall clock' }),
  at: isoDateTime,
})
export type DeadManAlert = z.infer<typeof deadManAlert>

export const alertWay = z.enum(['command', 'webhook', 'file'])
export type AlertWay = z.infer<typeof alertWay>

export const outage = z.strictObject({
  outage_id: z.string(),
  since: isoDateTime,
  raised_at: isoDateTime,
  told: z.array(alertWay).meta({ description: 'Ways by which the alert arrived' }),
  over: z
    .strictObject({ at: isoDateTime, reason: z.string(), told: z.array(alertWay) })
    .nullable()
    .meta({ description: 'The pit is back; gone once everybody who heard of the death heard that too' }),
})
export type Outage = z.infer<typeof outage>

/** What one look leaves for the next. Time is counted by the clock of the boot, which nobody sets. */
export const deadManMemory = z.strictObject({
  boot_id: z.string(),
  heard_ms: z.number().meta({ description: 'Last sign of life, or the first look of this boot' }),
  heard_at: isoDateTime,
  outage: outage.nullable(),
})
export type DeadManMemory = z.infer<typeof deadManMemory>

export const deadManReport = z.strictObject({
  status: z.enum(['alive', 'stopped', 'silent', 'dead']),
  reason: z.string(),
  silent_s: z.number(),
  after_s: z.number(),
  pid: z.int().nullable(),
  outage: outage.nullable(),
  deliveries: z.array(
    z.strictObject({
      event: deadManAlert.shape.event,
      way: alertWay,
      error: z.string().nullable().meta({ description: 'null: it arrived' }),
    }),
  ),
  remembered: z.boolean().meta({ description: 'false: the next look knows nothing of this one' }),
})
export type DeadManReport = z.infer<typeof deadManReport>
