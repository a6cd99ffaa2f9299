import type { Checkpoint } from '../../src/contract/checkpoint.ts'
import { type Clock, isoTime } from '../../src/kernel/clock.ts'
import { LazarusError } from '../../src/kernel/errors.ts'
import type { CheckpointOrder, CheckpointStore } from '../../src/ports/checkpoint-store.ts'
import type { SeatLayer, Workspace } from '../../src/ports/workspace.ts'

const HEX = '0123456789abcdef'
const hash = (n: number, length: number) => n.toString(16).padStart(length, HEX[n % 16])

/** Layers are a word each: what a checkpoint saves and a restore brings back. */
export class FakeStore implements CheckpointStore {
  readonly layers = new Map<string, string>()
  readonly staged = new Map<string, string>()
  readonly archives = new Map<string, string>()
  /** What a layer is torn by, or a checkpoint broken. */
  readonly torn = new Set<string>()
  readonly corrupt = new Set<string>()
  /** Awaited by every take, so that a test can come between. */
  hold: Promise<unknown> = Promise.resolve()
  /** The same for every sweep. */
  sweepHold: Promise<unknown> = Promise.resolve()
  fails: unknown = null
  taking = 0
  takingMost = 0
  readonly #owners = new Map<string, string>()
  readonly #clock: Clock
  #count = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  readonly workspace: Workspace = {
    resolve: async () => ({ repo: null, repository_key: null, ref: null, commit: null }),
    openMission: async () => {},
    openSeat: async (layer) => {
      this.layers.set(keyOf(layer), this.layers.get(keyOf(layer)) ?? 'empty')
      return []
    },
    isIntact: async (layer) => this.layers.has(keyOf(layer)) && !this.torn.has(keyOf(layer)),
    collect: () => Promise.reject(new Error('not here')),
    diff: () => Promise.reject(new Error('not here')),
    uncollected: async () => ({ commits: 0, paths: [] }),
    usage: async () => ({ bytes: 0, entries: 0 }),
    discardToTrash: async () => null,
    removeSeat: async ({ mission_id, agent_id }) => void this.layers.delete(`${mission_id}/${agent_id}`),
    closeMission: async () => null,
    freeBytes: async () => 10 ** 12,
    sweep: async () => {},
  }

  async take(layer: SeatLayer, order: CheckpointOrder, abort: AbortSignal): Promise<Checkpoint | null> {
    this.taking += 1
    this.takingMost = Math.max(this.takingMost, this.taking)
    try {
      await this.hold
      abort.throwIfAborted()
      if (this.fails !== null) throw this.fails
      return this.#write(layer, order)
    } finally {
      this.taking -= 1
    }
  }

  #write(layer: SeatLayer, order: CheckpointOrder): Checkpoint | null {
    const content = this.layers.get(keyOf(layer)) ?? 'empty'
    const { previous, generation, sequence, reason, paused } = order
    const isSame = previous !== null && this.archives.get(previous.checkpoint_id) === content
    if (isSame && order.unchanged === 'skip') return null
    this.#count += 1
    const checkpoint_id = `ckpt_${hash(this.#count, 24)}`
    this.archives.set(checkpoint_id, content)
    this.#owners.set(checkpoint_id, keyOf(layer))
    const facts = { sha256: hash(this.#count, 64), manifest_sha256: hash(1, 64), context_hash: hash(2, 64) }
    return {
      ...{ checkpoint_id, ...layer.seat, generation, sequence, reason, paused, ...facts, fingerprint: hash(3, 64) },
      ...{ bytes: 1, content_bytes: 1, entries: 1, took_ms: 1, created_at: isoTime(this.#clock.now()), shares: null },
    }
  }

  async isCurrent(layer: SeatLayer, checkpoint: Checkpoint): Promise<boolean> {
    return this.archives.get(checkpoint.checkpoint_id) === this.layers.get(keyOf(layer))
  }

  async verify({ checkpoint_id }: Checkpoint) {
    if (this.corrupt.has(checkpoint_id) || !this.archives.has(checkpoint_id))
      throw new LazarusError('checkpoint_corrupt', `${checkpoint_id} is corrupt`)
    return { bytes: 1, entries: 1 }
  }

  async stage(layer: SeatLayer, from: Checkpoint): Promise<void> {
    await this.verify(from)
    this.staged.set(keyOf(layer), this.archives.get(from.checkpoint_id)!)
  }

  async swap(layer: SeatLayer): Promise<void> {
    const staged = this.staged.get(keyOf(layer))
    if (staged === undefined) return
    this.layers.set(keyOf(layer), staged)
    this.torn.delete(keyOf(layer))
    this.staged.delete(keyOf(layer))
  }

  async unstage({ mission_id, agent_id }: { mission_id: string; agent_id: string }): Promise<void> {
    this.staged.delete(`${mission_id}/${agent_id}`)
  }

  async remove({ checkpoint_id }: Checkpoint): Promise<void> {
    this.archives.delete(checkpoint_id)
  }

  async sweep(seat: { mission_id: string; agent_id: string }, listed: ReadonlySet<string>): Promise<void> {
    await this.sweepHold
    await this.unstage(seat)
    for (const [id, owner] of this.#owners)
      if (owner === `${seat.mission_id}/${seat.agent_id}` && !listed.has(id)) this.archives.delete(id)
  }
}

const keyOf = ({ seat }: SeatLayer): string => `${seat.mission_id}/${seat.agent_id}`
