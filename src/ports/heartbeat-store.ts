import type { Vitals } from '../domain/health.ts'

/** The last that is known of every agent, so that it survives the pit. Not history: that is the ledger's. */
export interface HeartbeatStore {
  /** Durable when it resolves; what is put at the same time shares one commit. */
  put(vitals: Vitals): Promise<void>
  all(): readonly Vitals[]
  remove(agent_id: string, mission_id: string | null): Promise<void>
  close(): Promise<void>
}
