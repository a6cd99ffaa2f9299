import type { HostReport, LevelReport } from '../contract/host.ts'
import type { IsolationLevel } from '../contract/ids.ts'
import { isoTime } from '../kernel/clock.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { CellDriver } from '../ports/cell-driver.ts'
import type { Adapters } from './adapters.ts'

/** Probes each level once, when it is first needed or asked for again; those who need a level wait for its probe. */
export class HostProbe {
  readonly #adapters: Adapters
  readonly #reports = new Map<IsolationLevel, Promise<LevelReport>>()
  readonly #known = new Map<IsolationLevel, LevelReport>()
  readonly #abort = new AbortController()
  #probedAt: number

  constructor(adapters: Adapters) {
    this.#adapters = adapters
    this.#probedAt = adapters.clock.now()
  }

  async level(level: IsolationLevel): Promise<LevelReport | null> {
    const driver = this.#adapters.drivers.get(level)
    if (!driver) return null
    const report = this.#reports.get(level) ?? this.#probe(level, driver)
    this.#reports.set(level, report)
    return report
  }

  /** Reports that are there, without waiting for one; the last one of a level that is probed again. */
  known(): readonly LevelReport[] {
    return [...this.#known.values()].toSorted((a, b) => a.level.localeCompare(b.level))
  }

  async #probe(level: IsolationLevel, driver: CellDriver): Promise<LevelReport> {
    const report = await driver.probe(this.#abort.signal)
    this.#known.set(level, report)
    return report
  }

  async report(refresh: boolean): Promise<HostReport> {
    if (refresh) {
      this.#reports.clear()
      this.#probedAt = this.#adapters.clock.now()
    }
    const levels = Promise.all([...this.#adapters.drivers.keys()].map((level) => this.level(level)))
    const facts = await this.#adapters.hostFacts()
    return { ...facts, probed_at: isoTime(this.#probedAt), levels: (await levels).filter((report) => report !== null) }
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
    throw new LazarusError(
      'isolation_unavailable',
      `${level} is unavailable on this host: ${report.reason ?? 'unknown reason'}`,
      {
        ...(report.remedy === null ? {} : { remedy: report.remedy }),
        details: { checks: report.checks.filter((check) => !check.ok) },
      },
    )
  }
  return report
}
