import type { IsolationLevel, SandboxName } from '../contract/ids.ts'
import type { Moment } from '../domain/revival.ts'
import type { SeatState } from '../domain/seat.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { KeyedQueue } from '../kernel/queues.ts'
import type { CellDriver } from '../ports/cell-driver.ts'
import type { Adapters } from './adapters.ts'
import type { HealthBoard } from './health-board.ts'
import type { HostProbe } from './host-report.ts'
import type { MissionBook } from './mission-book.ts'

/** What the pit has got through since its start. */
export interface Milestones {
  recovered: boolean
  last_sweep_ms: number | null
}

export interface Context extends Adapters {
  readonly book: MissionBook
  readonly probe: HostProbe
  readonly health: HealthBoard
  readonly milestones: Milestones
  /** Every verb that changes a seat goes through the queue of that seat. */
  readonly seatQueue: KeyedQueue
}

/** The moment and the chance that a decision about a death may use. */
export const moment = ({ clock, entropy }: Pick<Adapters, 'clock' | 'entropy'>): Moment => ({
  now_ms: clock.now(),
  revival_id: `rev_${entropy.token(12)}`,
})

export const seatKey = (mission_id: string, agent_id: string): string => `${mission_id}/${agent_id}`

export const sandboxName = (mission_id: string, seat: Pick<SeatState, 'agent_id' | 'generation'>): SandboxName => ({
  mission_id,
  agent_id: seat.agent_id,
  generation: seat.generation,
})

export function driverFor(ctx: Pick<Adapters, 'drivers'>, level: IsolationLevel): CellDriver {
  const driver = ctx.drivers.get(level)
  if (!driver) throw new LazarusError('isolation_unavailable', `This pit has no driver for ${level}`)
  return driver
}
