import { seatOf } from '../domain/mission.ts'
import { missionView, seatView } from '../domain/views.ts'
import { LazarusError } from '../kernel/errors.ts'
import { KeyedQueue } from '../kernel/queues.ts'
import type { Adapters } from './adapters.ts'
import type { Application, Principal } from './application.ts'
import { startAutoCheckpoints } from './auto-checkpoints.ts'
import { checkpointSeat, pruneCheckpoints, removeCheckpoint, verifyCheckpoint } from './checkpoint-seat.ts'
import type { Context, Milestones } from './context.ts'
import { createMission } from './create-mission.ts'
import { archiveMission, destroyMission } from './end-mission.ts'
import { execStream, execWhole } from './exec-command.ts'
import { forkCheckpoint } from './fork-seat.ts'
import { HealthBoard } from './health-board.ts'
import { agentDetail } from './health-detail.ts'
import { startHealth } from './health-start.ts'
import { HostProbe } from './host-report.ts'
import { Identities } from './identities.ts'
import { MissionBook } from './mission-book.ts'
import { completeMission, pauseMission, resumeMission } from './mission-status.ts'
import { startMissionTimeouts } from './mission-timeouts.ts'
import { pitStatus } from './pit-status.ts'
import { readLogs } from './read-logs.ts'
import { reapUnowned, recover } from './recover.ts'
import { withdrawSeat } from './release-seat.ts'
import { restoreSeat } from './restore-seat.ts'
import { answerRevival, listIncidents, listRevivals } from './revivals.ts'
import { reviveSeat } from './revive-seat.ts'
import { collect, diff, killSeat, seatUsage } from './seat-work.ts'
import { addSeat } from './spawn-seat.ts'
import { Supervisor } from './supervisor.ts'
import { startUpkeep } from './upkeep.ts'
import { watchDisk } from './watch-disk.ts'
import { watchExits } from './watch-exits.ts'

/** The pit: adopts what an earlier one left, then serves the use cases. */
export interface Pit extends Application, AsyncDisposable {
  /** Resolves when what an earlier pit left is adopted, finished or reaped. */
  recovered(): Promise<void>
  /** Probes every level now, instead of each when it is first needed; resolves when recovery is done too. */
  ready(): Promise<void>
}

export function createPit(adapters: Adapters): Pit {
  const book = new MissionBook(adapters)
  const probe = new HostProbe(adapters)
  const identities = new Identities(adapters.operatorTokenHash)
  const milestones: Milestones = { recovered: false, last_sweep_ms: null }
  const health = new HealthBoard(adapters)
  const ctx: Context = { ...adapters, book, probe, health, milestones, seatQueue: new KeyedQueue() }
  const supervisor = new Supervisor(ctx)
  book.onChange = (before, after, changed) => {
    identities.follow(before, after, changed)
    health.follow(before, after, changed)
    supervisor.follow(before, after, changed)
  }
  book.load()
  health.adopt(book.all())
  const exits = watchExits(ctx)
  const adopted = recover(ctx).then(() => supervisor.start())
  const recovered = adopted.then(() => reapUnowned(ctx))
  const work = recovered.then(() => {
    milestones.recovered = true
    return [startUpkeep(ctx), startAutoCheckpoints(ctx), startMissionTimeouts(ctx), startHealth(ctx), watchDisk(ctx)]
  })
  return {
    ...application(ctx, identities),
    recovered: () => recovered,
    ready: async () => {
      await recovered
      await probe.report(false)
    },
    async [Symbol.asyncDispose]() {
      supervisor[Symbol.dispose]()
      for (const started of [...(await work), supervisor]) started[Symbol.dispose]()
      exits[Symbol.dispose]()
      probe.close()
      await recovered
    },
  }
}

const callerName = (by: Principal): string =>
  by.kind === 'operator' ? 'operator' : `${by.name.agent_id}@${by.name.mission_id}`

function application(ctx: Context, identities: Identities): Application {
  const { book } = ctx
  return {
    createMission: (request, by, abort) => createMission(ctx, request, callerName(by), abort),
    listMissions: ({ all }) =>
      book
        .all()
        .filter((m) => all || (m.status !== 'destroyed' && m.status !== 'archived'))
        .map(missionView),
    inspectMission: (id) => missionView(book.get(id)),
    pauseMission: (id) => pauseMission(ctx, id),
    resumeMission: (id) => resumeMission(ctx, id),
    completeMission: (id) => completeMission(ctx, id),
    archiveMission: (id, abort) => archiveMission(ctx, id, abort),
    destroyMission: (id, force) => destroyMission(ctx, id, force),
    addSeat: (id, request, abort) => addSeat(ctx, id, request, abort),
    listSeats: (id) => missionView(book.get(id)).seats,
    readSeat: (id, agent) => seatView(book.get(id), seatOf(book.get(id), agent)),
    seatUsage: (id, agent) => seatUsage(ctx, id, agent),
    withdrawSeat: (id, agent, force) => withdrawSeat(ctx, id, agent, force),
    execStream: (id, agent, request, onOutput, abort) => execStream(ctx, id, agent, request, onOutput, abort),
    execWhole: (id, agent, request, abort) => execWhole(ctx, id, agent, request, abort),
    logs: (id, agent, options, abort) => readLogs(ctx, id, agent, options, abort),
    collect: (id, agent, abort) => collect(ctx, id, agent, abort),
    diff: (id, agent, abort) => diff(ctx, id, agent, abort),
    checkpointSeat: (id, agent, reason, abort) => checkpointSeat(ctx, id, agent, reason, abort),
    listCheckpoints: (id, agent) => seatOf(book.get(id), agent).checkpoints,
    verifyCheckpoint: (id, agent, checkpoint, abort) => verifyCheckpoint(ctx, id, agent, checkpoint, abort),
    removeCheckpoint: (id, agent, checkpoint) => removeCheckpoint(ctx, id, agent, checkpoint),
    pruneCheckpoints: (id, agent, { keep }) => pruneCheckpoints(ctx, id, agent, keep),
    forkCheckpoint: (from, request, by, abort) => forkCheckpoint(ctx, from, request, callerName(by), abort),
    restoreSeat: (id, agent, checkpoint, abort) => restoreSeat(ctx, id, agent, checkpoint, abort),
    reviveSeat: (id, agent, request, abort) => reviveSeat(ctx, id, agent, request, abort),
    listRevivals: () => listRevivals(ctx),
    approveRevival: (id, by) => answerRevival(ctx, id, 'approve', callerName(by)),
    declineRevival: (id, by) => answerRevival(ctx, id, 'decline', callerName(by)),
    listIncidents: (id) => listIncidents(ctx, id),
    killSeat: (id, agent, signal) => killSeat(ctx, id, agent, signal),
    sealHomes: (request, abort) => ctx.homes.seal(request, abort),
    verifyHomes: (id, abort) => ctx.homes.verify(id, abort),
    scan: () => ctx.cells.scan(new Set(book.all().map((m) => m.mission_id)), ctx.clock.now()),
    initCell: (id) => initCell(ctx, id),
    host: ({ refresh }) => ctx.probe.report(refresh),
    status: () => pitStatus(ctx),
    heartbeat: (agent, { metadata }, by) => ctx.health.beat(by, agent, metadata),
    health: () => ctx.health.report(),
    agentHealth: (agent, by) => agentDetail(ctx, by, agent),
    heartbeatsTaken: () => ctx.health.heartbeats,
    readEvents: (options) => [...ctx.ledger.read(options)],
    followEvents: (options, abort) => ctx.ledger.follow(options, abort),
    identify: (token) => identities.identify(token),
    onTokenDeath: (seat, listener) => identities.onDeath(seat, listener),
  }
}

/** An id that the caller chose becomes a mission without repository, at level 2. An id that is known is a conflict. */
async function initCell(ctx: Context, mission_id: string) {
  const request = { mission_name: mission_id, isolation_level: 'level_2', max_agents: 10, timeout: 3600 } as const
  if (ctx.book.has(mission_id)) throw new LazarusError('conflict', `Mission ${mission_id} exists already`)
  return createMission(ctx, request, 'operator', AbortSignal.timeout(60_000), mission_id)
}
