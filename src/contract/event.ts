import { z } from 'zod'
import { checkpoint, checkpointId } from './checkpoint.ts'
import { agentId, isoDateTime, isolationLevel, missionId, role } from './ids.ts'
import { baseRef, cellPolicies, finalSnapshot, homesProof, keptCommits, released, workspaceMode } from './mission.ts'
import { effectiveIsolation, limits, networkMode, policy } from './policy.ts'
import { revival } from './revival.ts'
import { command, exitFact, sandboxHandle, workOutcome } from './seat.ts'

const mission = <T extends string, S extends z.core.$ZodLooseShape>(type: T, shape: S) =>
  z.strictObject({ type: z.literal(type), agent_id: z.null(), data: z.strictObject(shape) })
const seat = <T extends string, S extends z.core.$ZodLooseShape>(type: T, shape: S) =>
  z.strictObject({ type: z.literal(type), agent_id: agentId, data: z.strictObject(shape) })

const failure = z.strictObject({ code: z.string(), message: z.string() })
const generation = z.int().positive()

/** Every fact that the ledger can hold. Past tense is a fact, `…_started` and `…_requested` a durable intent. */
export const domainEvent = z.discriminatedUnion('type', [
  mission('mission_created', {
    mission_name: z.string(),
    isolation_level: isolationLevel,
    base: baseRef,
    workspace: workspaceMode,
    max_agents: z.int(),
    timeout: z.number(),
    policies: cellPolicies,
    policy,
    created_by: z.string(),
    directory: z.string(),
  }),
  mission('mission_paused', {}),
  mission('mission_resumed', {}),
  mission('mission_completed', {}),
  mission('mission_failed', { reason: z.string() }),
  mission('archive_started', {}),
  mission('mission_archived', { record: z.string() }),
  mission('destroy_started', {
    force: z.boolean(),
    seal_id: z.string().nullable().meta({ description: 'The homes before; compared after' }),
  }),
  mission('commits_saved', { collected: keptCommits }),
  mission('mission_destroyed', {
    final_checkpoints: z.array(finalSnapshot),
    collected: keptCommits.nullable(),
    homes: homesProof,
    released,
  }),
  seat('seat_requested', {
    role,
    command: command.nullable(),
    resume_command: command.nullable(),
    env_names: z.array(z.string()),
    network: networkMode.nullable(),
    limits: limits.nullable(),
    heartbeat_interval: z.number().nullable(),
    token_hash: z.string(),
    forked_from: z
      .strictObject({ mission_id: missionId, agent_id: agentId, checkpoint_id: checkpointId })
      .nullable()
      .meta({ description: 'The checkpoint that its layer begins with' }),
  }),
  seat('spawn_started', {
    generation,
    resumed_from: z.string().nullable().meta({ description: 'live, or a checkpoint; null for a first start' }),
    token_hash: z.string().nullable().meta({ description: 'null: as before' }),
  }),
  seat('seat_spawned', { generation, handle: sandboxHandle, effective: effectiveIsolation, spawn_ms: z.number() }),
  seat('spawn_failed', { generation, error: failure }),
  seat('seat_exited', { generation, exit: exitFact }),
  seat('end_decided', {
    generation,
    cause: z.enum(['hung', 'limit']),
    why: z.string().meta({ description: 'What was seen; the agent is killed for it' }),
  }),
  seat('revival_queued', { revival: revival.omit({ mission_id: true, agent_id: true }) }),
  seat('revival_approved', { revival_id: z.string(), by: z.string() }),
  seat('revival_declined', { revival_id: z.string(), by: z.string() }),
  seat('revival_timed_out', { revival_id: z.string() }),
  seat('seat_quarantined', { reason: z.string() }),
  seat('seat_released', { reason: z.string() }),
  seat('seat_replaced', { by: agentId }),
  seat('checkpoint_started', { sequence: z.int().positive(), reason: z.string() }),
  seat('checkpoint_taken', { checkpoint }),
  seat('checkpoint_failed', { sequence: z.int().positive(), error: failure }),
  seat('checkpoint_pruned', { checkpoint_id: checkpointId, why: z.string() }),
  seat('restore_started', { checkpoint_id: checkpointId }),
  seat('restored', { checkpoint_id: checkpointId }),
  seat('seat_paused', {}),
  seat('seat_resumed', {}),
  seat('collected', { head: z.string(), outcome: workOutcome, commits: z.int() }),
  seat('withdraw_started', { force: z.boolean() }),
  seat('layer_saved', { final_checkpoint: finalSnapshot }),
  seat('seat_withdrawn', { final_checkpoint: finalSnapshot.nullable(), released }),
  seat('orphan_reaped', { generation: z.int().nonnegative() }),
  seat('refused', { what: z.string(), generation }),
])
export type DomainEvent = z.infer<typeof domainEvent>
export type DomainEventType = DomainEvent['type']

/** An event as the ledger gives it back. */
export const recordedEvent = z.object({
  seq: z.int().positive().meta({ description: 'Position in the whole ledger; rises, never repeats' }),
  at: isoDateTime,
  mission_id: missionId,
  version: z.int().positive().meta({ description: 'Position in the stream of this mission, from 1' }),
  agent_id: agentId.nullable(),
  type: z.string(),
  data: z.record(z.string(), z.unknown()),
})
export type RecordedEvent = Omit<z.infer<typeof recordedEvent>, 'type' | 'data' | 'agent_id'> & DomainEvent
