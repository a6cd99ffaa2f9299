import type { Checkpoint } from '../../contract/checkpoint.ts'
import { ago, count, duration, size } from './human.ts'
import { table } from './table.ts'

/** "ckpt_3f2a9c1e": enough to name it by. */
export const shortCheckpoint = (id: string): string => (id.startsWith('ckpt_') ? id.slice(0, 13) : id)

export function describeCheckpoint(checkpoint: Checkpoint): string {
  const { checkpoint_id, sequence, entries, bytes, took_ms, paused, shares } = checkpoint
  const what =
    shares === null
      ? `${count(entries, 'entry', 'entries')}, ${size(bytes)}`
      : `nothing changed: it shares the archive of ${shortCheckpoint(shares)}`
  const how = paused ? 'with the seat at rest' : 'while the seat went on'
  return `${checkpoint_id}\nnumber ${sequence}: ${what}; taken in ${duration(took_ms)} ${how}\n`
}

export const checkpointTable = (checkpoints: readonly Checkpoint[], now_ms: number): string =>
  table<Checkpoint>(
    [
      { title: 'ID', value: (one) => one.checkpoint_id },
      { title: 'SEQ', value: (one) => one.sequence, align: 'right' },
      { title: 'GEN', value: (one) => one.generation, align: 'right' },
      { title: 'AGE', value: (one) => ago(one.created_at, now_ms) },
      { title: 'SIZE', value: (one) => size(one.bytes), align: 'right' },
      { title: 'ENTRIES', value: (one) => one.entries, align: 'right' },
      { title: 'PAUSED', value: (one) => (one.paused ? 'yes' : 'no') },
      { title: 'SHARES', value: (one) => one.shares && shortCheckpoint(one.shares) },
      { title: 'REASON', value: (one) => one.reason },
    ],
    checkpoints,
  )
