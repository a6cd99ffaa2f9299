import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { type AlertWays, deliver, waysOf } from '../alerts/deliver.ts'
import { openMemory } from '../alerts/memory.ts'
import { Client } from '../cli/client.ts'
import type { DeadManAlert, DeadManReport, Outage } from '../contract/dead-man.ts'
import type { StopRecord } from '../contract/pit.ts'
import { heardBy, judge, LOOKS_WITHIN_BOUND, type Look, owed, type Verdict } from '../domain/dead-man.ts'
import { isoTime } from '../kernel/clock.ts'
import { bootId, processFact } from '../linux/process.ts'
import { systemClock, systemEntropy } from './chance.ts'
import { readLifeSigns } from './life-signs.ts'
import { ownDirectory } from './own-directory.ts'
import type { Settings } from './settings.ts'

/** A pit that needs longer for its simplest answer is not well. */
const LONGEST_ANSWER_MS = 10_000

/**
 * One look at the pit from outside it. Asks on the operator's socket, judges the silence by what earlier looks left,
 * and tells whoever is owed the news; a way that failed is tried again at the next look.
 */
export async function lookAtPit(settings: Settings, ways: AlertWays): Promise<DeadManReport> {
  const stateDir = ownDirectory(settings.stateDir)
  const after_ms = settings.config.dead_man.after * 1000
  using memory = openMemory(join(stateDir, 'dead-man.db'))
  const { pit } = readLifeSigns(stateDir)
  const look = await lookOnce(stateDir, Math.min(LONGEST_ANSWER_MS, after_ms / LOOKS_WITHIN_BOUND))
  const verdict = judge(memory.content, look, after_ms)
  const facts = { stateDir, pid: pit?.pid ?? null, silent_s: Math.round(verdict.silent_ms / 100) / 10 }
  const { outage, deliveries } = await tell(verdict, look, facts, ways)
  const remembered = memory.keep({ ...verdict.memory, outage })
  const { status } = verdict
  return {
    status,
    reason: look.reason,
    silent_s: facts.silent_s,
    after_s: after_ms / 1000,
    pid: facts.pid,
    outage,
    deliveries,
    remembered,
  }
}

async function lookOnce(stateDir: string, patience_ms: number): Promise<Look> {
  const unheard = await askPit(stateDir, patience_ms)
  // Read after the answer: a pit that stops leaves its word before it falls silent.
  const { pit, alive, stopped } = readLifeSigns(stateDir)
  const now = {
    boot_id: bootId(),
    uptime_ms: Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000,
    at: isoTime(systemClock.now()),
    outage_id: `out_${systemEntropy.token(9)}`,
  }
  if (unheard === null) return { ...now, found: 'answered', reason: 'the pit answers' }
  if (stopped && holds(stopped)) {
    return { ...now, found: 'stopped', reason: `the pit was stopped at ${stopped.at} by ${stopped.by}` }
  }
  return {
    ...now,
    found: 'silent',
    reason: pit === null ? `no pit has come up: ${unheard}` : fateOf(pit.pid, alive, unheard),
  }
}

/** Stopped by a shutdown, it was to come up with the host again. */
const holds = ({ by, boot_id }: StopRecord): boolean => by === 'operator' || boot_id === bootId()

function fateOf(pid: number, alive: boolean, unheard: string): string {
  if (!alive) return `process ${pid} is gone`
  const state = processFact(pid)?.state === 'T' ? 'is stopped by a signal' : 'lives, but does not answer'
  return `process ${pid} ${state}: ${unheard}`
}

/** null: it answered. Else why not. */
async function askPit(stateDir: string, patience_ms: number): Promise<string | null> {
  const client = new Client({ kind: 'socket', path: join(stateDir, 'api.sock') })
  const patience = AbortSignal.timeout(Math.ceil(patience_ms))
  try {
    await client.text('GET', '/healthz', { signal: patience })
    return null
  } catch (error) {
    return patience.aborted ? `no answer within ${patience_ms / 1000} s` : (error as Error).message
  }
}

interface Facts {
  readonly stateDir: string
  readonly pid: number | null
  readonly silent_s: number
}

async function tell(
  { memory }: Verdict,
  look: Look,
  facts: Facts,
  ways: AlertWays,
): Promise<Pick<DeadManReport, 'outage' | 'deliveries'>> {
  const { outage } = memory
  if (outage === null) return { outage, deliveries: [] }
  const configured = [...waysOf(ways)]
  const alert = alertOf(outage, look, facts)
  const deliveries = await deliver(owed(outage, configured), ways, alert)
  const arrived = deliveries.filter(({ error }) => error === null).map(({ way }) => way)
  return {
    outage: heardBy(outage, arrived, configured),
    deliveries: deliveries.map((delivery) => ({ event: alert.event, ...delivery })),
  }
}

function alertOf(outage: Outage, { at, reason }: Look, { stateDir, pid, silent_s }: Facts): DeadManAlert {
  const host = hostname()
  const { outage_id, since, over } = outage
  const facts = { outage_id, host, state_dir: stateDir, pid, since, at }
  const where = `Lazarus Pit on ${host} (${stateDir})`
  if (over) {
    const lasted = (Date.parse(over.at) - Date.parse(since)) / 1000
    const message = `${where} is no longer missed, after ${lasted} s: ${over.reason}`
    return { ...facts, event: 'pit_back', message, reason: over.reason, silent_s: lasted }
  }
  const message = `${where} has been silent for ${silent_s} s: ${reason}. Its agents go on; start it with: lazarus serve`
  return { ...facts, event: 'pit_dead', message, reason, silent_s }
}
