import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Application } from '../app/application.ts'

export interface RequestFacts {
  readonly method: string
  readonly route: string
  readonly status: number
  readonly ms: number
}

export interface Metrics {
  observe(request: RequestFacts): void
  text(): Promise<string>
}

/** Seconds; from an answer out of memory to a long exec. */
const BUCKETS = [0.001, 0.005, 0.02, 0.05, 0.1, 0.5, 1, 5, 30]

export function createMetrics(app: Application): Metrics {
  const registry = new Registry()
  // The default precision wakes the process a hundred times a second, also when nothing happens.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 1000 })
  const requests = new Histogram({
    name: 'lazarus_http_request_duration_seconds',
    help: 'Time from the head of a request to the end of its answer',
    labelNames: ['method', 'route', 'status'],
    buckets: BUCKETS,
    registers: [registry],
  })
  gauge(registry, 'lazarus_missions', 'Missions that are not archived or destroyed', () =>
    app.listMissions({ all: false }).map((mission) => mission.status),
  )
  gauge(registry, 'lazarus_seats', 'Seats of those missions', () =>
    app.listMissions({ all: false }).flatMap((mission) => mission.seats.map((seat) => seat.status)),
  )
  gauge(registry, 'lazarus_agents', 'Agents by health', () =>
    Object.values(app.health().agents).map((agent) => agent.status),
  )
  new Counter({
    name: 'lazarus_heartbeats_total',
    help: 'Heartbeats taken since the start of the pit',
    registers: [registry],
    collect() {
      this.reset()
      this.inc(app.heartbeatsTaken())
    },
  })
  return {
    observe: ({ method, route, status, ms }) => requests.observe({ method, route, status }, ms / 1000),
    text: () => registry.metrics(),
  }
}

function gauge(registry: Registry, name: string, help: string, statuses: () => readonly string[]): void {
  new Gauge({
    name,
    help,
    labelNames: ['status'],
    registers: [registry],
    collect() {
      this.reset()
      for (const status of statuses()) this.inc({ status })
    },
  })
}
