import type { HostReport, LevelReport } from '../contract/host.ts'
import type { IsolationLevel } from '../contract/ids.ts'
import { isoTime } from '../kernel/clock.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { Adapters } from './adapters.ts'

/** Probes each level once, at start or when asked again; those who need a level wait for its probe. */
export class HostProbe {
  readonly #adapters: Adapters
  #reports = new Map<IsolationLevel, Promise<LevelReport>>()
  #probedAt = 0
  readonly #abort = new AbortController()

  constructor(adapters: Adapters) {
    this.#adapters = adapters
  }

  start(): void {
    this.#probedAt = this.#adapters.clock.now()
    this.#reports = new Map([...this.#adapters.drivers].map(([level, driver]) => [level, driver.probe(this.#abort.signal)]))
  }

  async level(level: IsolationLevel): Promise<LevelReport | null> {
    return (await this.#reports.get(level)) ?? null
  }

  async report(refresh: boolean): Promise<HostReport> {
    if (refresh || this.#reports.size === 0) this.start()
    const [facts, ...levels] = await Promise.all([this.#adapters.hostFacts(), ...this.#reports.values()])
    return { ...facts, probed_at: isoTime(this.#probedAt), levels }
  }

  close(): void {
    this.#abort.abort()
  }
}

/** The level as this host can do it, or the reason and the remedy why not. Never another level instead. */
export async function requireLevel(
  ctx: { readonly probe: HostProbe; readonly config: Adapters['config'] },
  level: IsolationLevel,
): Promise<LevelReport> {
  if (level === 'none' && !ctx.config.allow_level_none) {
    throw new LazarusError('isolation_unavailable', 'Level none isolates nothing and is refused by the configuration', {
      remedy: 'For development only: set "allow_level_none": true in the configuration file.',
    })
  }
  const report = await ctx.probe.level(level)
  if (!report) throw new LazarusError('isolation_unavailable', `This pit has no driver for ${level}`)
  if (report.status === 'unavailable') {
    throw new LazarusError('isolation_unavailable', `${level} is unavailable on this host: ${report.reason ?? 'unknown reason'}`, {
      ...(report.remedy === null ? {} : { remedy: report.remedy }),
      details: { checks: report.checks.filter((check) => !check.ok) },
    })
  }
  return report
}
