import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Checkpoint } from '../../src/contract/checkpoint.ts'
import type { CheckpointOrder, CheckpointStore } from '../../src/ports/checkpoint-store.ts'
import { orderFor } from '../conformance/checkpoint-store.ts'
import { never, type TestBed, TestSeat } from './support.ts'

export const take = async (
  { bed, layer }: TestSeat,
  overrides: Partial<CheckpointOrder> = {},
  store: CheckpointStore = bed.checkpoints,
): Promise<Checkpoint> => (await store.take(layer, orderFor(layer, overrides), never))!

/** Stage and swap, as a restore does; answers the seat with its mounts. */
export async function restore(seat: TestSeat, from: Checkpoint, store = seat.bed.checkpoints): Promise<TestSeat> {
  await store.stage(seat.layer, from, never)
  await store.swap(seat.layer, from)
  return new TestSeat(seat.bed, seat.layer, await seat.bed.workspace.openSeat(seat.layer))
}

export const checkpointsOf = (bed: TestBed, { mission_id, agent_id }: { mission_id: string; agent_id: string }) =>
  join(bed.missions, mission_id, 'checkpoints', agent_id)

export const filesOf = ({ bed }: TestSeat, checkpoint: Checkpoint): string =>
  join(checkpointsOf(bed, checkpoint), checkpoint.checkpoint_id)

export const listed = ({ bed, layer }: TestSeat): readonly string[] => readdirSync(checkpointsOf(bed, layer.seat))
