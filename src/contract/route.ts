import { z } from 'zod'
import { agentId, missionId, type Role } from './ids.ts'

/** Who may call a route: roles by where the caller sits. The operator may call every route. */
export interface Access {
  readonly public?: true
  /** The caller's own seat is the one that the route names. */
  readonly own_seat?: readonly Role[]
  /** The route names another seat of the caller's mission. */
  readonly other_seat?: readonly Role[]
  /** The route names the caller's mission. */
  readonly mission?: readonly Role[]
  /** The route names the caller's own agent, and no mission. */
  readonly own_agent?: readonly Role[]
  /** The route names nothing: it is about the caller's own seat. */
  readonly caller?: readonly Role[]
}

/** What comes back: JSON by schema, or bytes of a media type. */
export type Answer =
  | { readonly kind: 'json'; readonly status: 200 | 201; readonly schema: z.ZodType }
  | { readonly kind: 'bytes'; readonly status: 200; readonly media: string; readonly description: string }

export interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly summary: string
  readonly tag: string
  readonly access: Access
  readonly params?: z.ZodType
  readonly query?: z.ZodType
  readonly body?: z.ZodType
  readonly answer: Answer
  /** The stream that the route gives instead when the Accept header asks for it. */
  readonly stream?: 'application/x-ndjson' | 'text/event-stream'
  /** Called all the time, by machines: its calls are in the log at debug only. */
  readonly frequent?: true
}

/** Generic, so that http/ can hold each handler to the schema of its answer. */
export const json = <T extends z.ZodType>(schema: T, status: 200 | 201 = 200) => ({
  kind: 'json' as const,
  status,
  schema,
})
export const bytes = (media: string, description: string) => ({
  kind: 'bytes' as const,
  status: 200 as const,
  media,
  description,
})

export const EVERY_ROLE = ['lead', 'write', 'read', 'audit'] as const
export const OPERATOR: Access = {}
export const PUBLIC: Access = { public: true }

export const flag = z
  .enum(['true', 'false'])
  .transform((v) => v === 'true')
  .pipe(z.boolean())
export const count = (max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .pipe(z.int().min(0).max(max))

export const missionParams = z.strictObject({ mission_id: missionId })
export const seatParams = z.strictObject({ mission_id: missionId, agent_id: agentId })
export const pageQuery = z.strictObject({
  limit: count(1000).optional().meta({ description: 'At most so many; default 100' }),
  after: z.string().max(256).optional().meta({ description: 'Id of the last one of the page before' }),
})
export const eventsQuery = z.strictObject({
  mission_id: missionId.optional(),
  after: count(Number.MAX_SAFE_INTEGER)
    .optional()
    .meta({ description: 'Sequence to go on from; Last-Event-ID does the same' }),
  types: z.string().max(1024).optional().meta({ description: 'Comma-separated event types' }),
  limit: count(10_000).optional(),
  follow: flag.optional().meta({ description: 'Stream as server-sent events' }),
})
export const logsQuery = z.strictObject({
  follow: flag.optional(),
  tail: count(1_000_000).optional().meta({ description: 'Lines from the end' }),
})
export const destroyQuery = z.strictObject({
  force: flag.optional().meta({ description: 'Also when a seat holds uncollected work' }),
})

export const list = <T extends z.ZodType>(name: string, item: T) =>
  z.strictObject({
    [name]: z.array(item),
    next: z.string().nullable().meta({ description: 'Give it as ?after for the next page' }),
  })
