import type { Command } from 'commander'
import type { AgentDetail, AgentHealth, HealthReport, SignsOfLife } from '../../contract/health.ts'
import type { Seat } from '../../contract/seat.ts'
import { ApiError } from '../client.ts'
import { ago, count, duration } from '../render/human.ts'
import { facts, table } from '../render/table.ts'
import type { Session } from '../session.ts'
import { addVerb, type Run } from '../verb.ts'

const WORDS = {
  usage: 'health [agent]',
  summary: 'how every agent is, or one with its signs of life; in a cell, its own',
  examples: ['health', 'health builder', 'health --json | jq .agents'],
  notes:
    'degraded after a failure, unhealthy from the third in a row: silence beyond the timeout, a death, a gateway that\ndoes not answer. Nobody is killed for it but where a mission says hung_after.',
}

export function addHealthVerb(program: Command, run: Run): void {
  addVerb(program, run, WORDS, (session, [agent]) => (agent === undefined ? showAll(session) : showOne(session, agent)))
}

async function showAll(session: Session): Promise<void> {
  try {
    await session.print(await session.get<HealthReport>('/health'), (report) => renderAll(session, report))
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'forbidden') throw error
    // A cell sees itself alone.
    const { value } = await session.get<Seat>('/v1/self')
    await showOne(session, value.agent_id)
  }
}

async function showOne(session: Session, agent: string): Promise<void> {
  const answer = await session.get<AgentDetail>(`/agent/${encodeURIComponent(agent)}`)
  await session.print(answer, (detail) => renderOne(session, detail))
}

const since = (epochSeconds: number | null, now_ms: number): string =>
  ago(epochSeconds === null ? null : new Date(epochSeconds * 1000).toISOString(), now_ms)
const took = (seconds: number | null): string | null => (seconds === null ? null : duration(seconds * 1000))

function renderAll({ io, colours }: Session, report: HealthReport): string {
  const agents = Object.values(report.agents)
  const { healthy, degraded, unhealthy, total_agents } = report
  const summary = `${count(total_agents, 'agent')}: ${healthy} healthy, ${degraded} degraded, ${unhealthy} unhealthy\n`
  if (agents.length === 0) return summary
  const now = io.now()
  const columns = [
    { title: 'AGENT', value: (one: AgentHealth) => one.agent_id },
    {
      title: 'HEALTH',
      value: (one: AgentHealth) => one.status,
      paint: (cell: string, value: string) => cell.replace(value, colours.status(value)),
    },
    { title: 'FAILURES', value: (one: AgentHealth) => one.consecutive_failures, align: 'right' as const },
    { title: 'HEARTBEAT', value: (one: AgentHealth) => since(one.last_heartbeat, now) },
    { title: 'GATEWAY', value: (one: AgentHealth) => took(one.response_time) },
    { title: 'WHY', value: (one: AgentHealth) => one.error_message },
  ]
  return `${table(columns, agents)}${summary}`
}

function renderOne({ io, colours }: Session, agent: AgentDetail): string {
  const now = io.now()
  const said = Object.keys(agent.metadata).length === 0 ? null : JSON.stringify(agent.metadata)
  const head = facts([
    ['agent', agent.agent_id],
    ['failures', `${agent.consecutive_failures} in a row`],
    ['why', agent.error_message],
    ['heartbeat', since(agent.last_heartbeat, now)],
    [
      'gateway',
      agent.last_response === null ? null : `${since(agent.last_response, now)}, took ${took(agent.response_time)}`,
    ],
    ['it said', said],
  ])
  return `health     ${colours.status(agent.status)}\n${head}${agent.signs.length === 0 ? '' : `\n${renderSigns(agent.signs, now)}`}`
}

const renderSigns = (signs: readonly SignsOfLife[], now: number): string =>
  table<SignsOfLife>(
    [
      { title: 'MISSION', value: ({ mission_id }) => mission_id?.slice(0, 8) ?? 'outside' },
      { title: 'SEAT', value: ({ process }) => process },
      { title: 'GEN', value: ({ generation }) => generation, align: 'right' },
      { title: 'HEARTBEAT', value: ({ last_heartbeat }) => since(last_heartbeat, now) },
      { title: 'OUTPUT', value: ({ last_output }) => since(last_output, now) },
      { title: 'SILENT', value: ({ silence }) => took(silence) },
      { title: 'SUSPICION', value: ({ suspicion }) => suspicion?.toFixed(1) ?? null, align: 'right' },
    ],
    signs,
  )
