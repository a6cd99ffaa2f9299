import type { Log } from '../kernel/log.ts'

/** What somebody should look at. */
export type Alert =
  | {
      readonly kind: 'agent_unhealthy'
      readonly agent_id: string
      readonly mission_id: string | null
      readonly why: string
    }
  | { readonly kind: 'cell_stale'; readonly cell_id: string; readonly path: string; readonly age_s: number }

interface Deps {
  readonly log: Log
  readonly alerts?: (alert: Alert) => void
}

const MESSAGES: Readonly<Record<Alert['kind'], string>> = {
  agent_unhealthy: 'an agent is unhealthy',
  cell_stale: 'no pit has written the heartbeat of a cell for longer than its timeout',
}

/** A line in the log at warn, and whoever else was asked to be told. */
export function raiseAlert({ log, alerts }: Deps, alert: Alert): void {
  log.warn({ alert }, MESSAGES[alert.kind])
  alerts?.(alert)
}
