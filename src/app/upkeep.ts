import type { MissionStatus } from '../contract/mission.ts'
import { asLazarusError } from '../kernel/errors.ts'
import type { Context } from './context.ts'

const SWEEP_EVERY_MS = 60 * 60_000

/** Whose cell directory is no more, or is a record. */
const GONE: ReadonlySet<MissionStatus> = new Set(['archiving', 'archived', 'destroying', 'destroyed'])

/**
 * What the pit does by the clock: writes `state/heartbeat.json` of every mission that has a cell directory each
 * `poll_interval`, so that other watchers see the pit live; removes what is past its retention and what nobody needs,
 * at the start and every hour.
 */
export function startUpkeep(ctx: Context): Disposable {
  const beats = setInterval(() => void beat(ctx), ctx.config.poll_interval * 1000).unref()
  const sweeps = setInterval(() => void sweep(ctx), SWEEP_EVERY_MS).unref()
  void sweep(ctx)
  return {
    [Symbol.dispose]() {
      clearInterval(beats)
      clearInterval(sweeps)
    },
  }
}

async function beat({ book, cells, clock, log }: Context): Promise<void> {
  for (const state of book.all()) {
    if (GONE.has(state.status)) continue
    try {
      await cells.heartbeat(state, clock.now())
    } catch (error) {
      log.warn({ ...asLazarusError(error), mission_id: state.mission_id }, 'the heartbeat file could not be written')
    }
  }
}

/** Whose sandboxes, sockets and secrets are all released. */
const OVER: ReadonlySet<MissionStatus> = new Set(['archived', 'destroyed'])

async function sweep({ book, workspace, leftovers, drivers, log, milestones, clock }: Context): Promise<void> {
  const isKnown = (mission_id: string) => book.has(mission_id)
  const isAlive = (mission_id: string) => isKnown(mission_id) && !OVER.has(book.get(mission_id).status)
  const policies = () => book.all().flatMap(({ status, policy }) => (OVER.has(status) ? [] : [policy]))
  const images = [...drivers.values()].map((driver) => async () => driver.images?.sweep(policies()))
  for (const sweeping of [() => workspace.sweep(isKnown), () => leftovers.sweep(isAlive), ...images]) {
    try {
      await sweeping()
    } catch (error) {
      log.warn({ message: asLazarusError(error).message }, 'what is no longer needed could not be swept')
    }
  }
  milestones.last_sweep_ms = clock.now()
}
