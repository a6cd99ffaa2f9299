import type { MissionState } from './mission.ts'
import type { SeatState } from './seat.ts'
import { holdsLayer } from './seat.ts'

/** Steps as data. Each is idempotent: after a crash the plan is made again from the ledger and run from its start. */
export type SeatStep =
  | { readonly step: 'open_layer' }
  | { readonly step: 'open_door' }
  | { readonly step: 'start_sandbox' }
  | { readonly step: 'stage_layer' }
  | { readonly step: 'swap_layer' }
  | { readonly step: 'end_sandbox' }
  | { readonly step: 'close_door' }
  | { readonly step: 'save_layer' }
  | { readonly step: 'remove_layer' }
  | { readonly step: 'forget_secrets' }
export type StepName = SeatStep['step']

const steps = (...names: StepName[]): readonly SeatStep[] => names.map((step) => ({ step }))

const START = ['open_layer', 'open_door', 'start_sandbox'] as const

/** What takes a requested seat to a running sandbox. One that begins from a checkpoint gets its layer from there. */
export const spawnPlan = (seat: SeatState): readonly SeatStep[] =>
  seat.forked_from !== null && seat.spawned_at === null ? steps('stage_layer', 'swap_layer', ...START) : steps(...START)

/** What a failed spawn must take back. A fresh layer holds nothing of the agent's, one from before is kept. */
export const undoSpawnPlan = (seat: SeatState): readonly SeatStep[] =>
  seat.spawned_at === null
    ? steps('end_sandbox', 'close_door', 'remove_layer', 'forget_secrets')
    : steps('end_sandbox', 'close_door')

/** Ends the sandbox and keeps the layer: for a mission that is completed or an agent that died. */
export const stopPlan = (): readonly SeatStep[] => steps('end_sandbox', 'close_door')

/** Ends the sandbox, and puts the checkpoint that is laid out beside the live layer in the place of that. */
export const restorePlan = (isStaged: boolean): readonly SeatStep[] =>
  steps(...(isStaged ? [] : (['stage_layer'] as const)), 'end_sandbox', 'close_door', 'swap_layer')

/** Saves what is in the layer, then removes every trace of the seat. */
export const withdrawPlan = (seat: SeatState): readonly SeatStep[] =>
  holdsLayer(seat)
    ? steps('end_sandbox', 'close_door', 'save_layer', 'remove_layer', 'forget_secrets')
    : steps('end_sandbox', 'close_door', 'remove_layer', 'forget_secrets')

/** Seats whose end a destroy or an archive must still bring about. */
export const seatsToRelease = (state: MissionState): readonly SeatState[] =>
  [...state.seats.values()].filter((seat) => seat.status !== 'withdrawn')
