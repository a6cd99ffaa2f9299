import type { DeadManMemory, DeadManReport, Outage } from '../contract/dead-man.ts'

/** What one look at the pit showed. */
export interface Look {
  readonly boot_id: string
  /** Milliseconds since boot, time asleep included. */
  readonly uptime_ms: number
  readonly at: string
  /** answered: it is there. stopped: it was asked to stop, and nobody has wanted it since. */
  readonly found: 'answered' | 'stopped' | 'silent'
  readonly reason: string
  readonly outage_id: string
}

type Ways = readonly Outage['told'][number][]

export interface Verdict {
  readonly status: DeadManReport['status']
  readonly silent_ms: number
  readonly memory: DeadManMemory
}

/** A watcher comes round so often within the bound; the last round before it counts as the bound. */
export const LOOKS_WITHIN_BOUND = 5

/**
 * Silence counts from the last sign of life, after a boot from the first look. The alert is due at the last look that
 * comes before the bound is over, so that nobody hears of it later than that.
 */
export function judge(before: DeadManMemory | null, look: Look, after_ms: number): Verdict {
  const known = before?.boot_id === look.boot_id ? before : null
  const outage = before?.outage ?? null
  if (look.found !== 'silent') {
    const memory = { ...heardNow(look), outage: ended(outage, look) }
    return { status: look.found === 'answered' ? 'alive' : 'stopped', silent_ms: 0, memory }
  }
  const heard = known ?? heardNow(look)
  const silent_ms = Math.max(0, look.uptime_ms - heard.heard_ms)
  const open = outage !== null && outage.over === null
  const dead = open || silent_ms + after_ms / LOOKS_WITHIN_BOUND >= after_ms
  const memory = { ...heard, outage: dead && !open ? begun(look, heard.heard_at) : outage }
  return { status: dead ? 'dead' : 'silent', silent_ms, memory }
}

const heardNow = ({ boot_id, uptime_ms, at }: Look) => ({ boot_id, heard_ms: uptime_ms, heard_at: at })

const begun = ({ outage_id, at }: Look, since: string): Outage => ({
  outage_id,
  since,
  raised_at: at,
  told: [],
  over: null,
})

/** Who never heard of the death need not hear of its end. */
function ended(outage: Outage | null, { at, reason }: Look): Outage | null {
  if (outage === null || outage.told.length === 0) return null
  return { ...outage, over: outage.over ?? { at, reason, told: [] } }
}

/** Ways that are owed the news of an outage: its alert, or that it is over. */
export function owed(outage: Outage, ways: Ways): Ways {
  const { told, over } = outage
  if (over === null) return ways.filter((way) => !told.includes(way))
  return ways.filter((way) => told.includes(way) && !over.told.includes(way))
}

/** After some of them heard it. null: everybody knows that it is over. */
export function heardBy(outage: Outage, ways: Ways, configured: Ways): Outage | null {
  const { told, over } = outage
  if (over === null) return { ...outage, told: [...told, ...ways] }
  const after = { ...outage, over: { ...over, told: [...over.told, ...ways] } }
  return owed(after, configured).length === 0 ? null : after
}
