import { z } from 'zod'
import { agentId } from './ids.ts'
import { limits } from './policy.ts'

const DAY = 86_400
const webAddress = z.url({ protocol: /^https?$/, error: 'expected an http or https URL' })

/** Who is told when the pit is gone: by a watcher outside it, `lazarus dead-man`. Every way that is named is taken. */
const deadMan = z.strictObject({
  after: z.number().min(1).max(DAY).default(300).meta({ description: 'Silence that raises the alert at the latest' }),
  command: z.array(z.string()).min(1).optional().meta({ description: 'Program and arguments; no shell' }),
  webhook: webAddress
    .refine((url) => URL.parse(url)?.username === '', 'expected an address without user and password')
    .optional()
    .meta({ description: 'Takes a POST with JSON' }),
  file: z.string().startsWith('/').optional().meta({ description: 'Gets a line of JSON' }),
})

/** `~/.lazarus/config.json`; docs/operations.md explains every key. Seconds. An unknown key is an error. */
export const config = z.strictObject({
  poll_interval: z.number().positive().max(DAY).default(30),
  timeout: z
    .number()
    .positive()
    .max(7 * DAY)
    .default(300),
  max_retries: z.int().nonnegative().max(1000).default(3),
  auto_revive: z
    .union([z.boolean(), z.enum(['yes', 'no', 'ask'])], { error: 'expected true, false, "yes", "no" or "ask"' })
    .default(true),
  gateways: z.record(agentId, webAddress).default({}),
  missions_path: z.string().startsWith('/').optional(),
  log_level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'DEBUG', 'INFO', 'WARNING', 'ERROR']).default('info'),
  homes: z.array(z.string().startsWith('/')).default(['/home/*', '/root', '/root/wizards/*']),
  allow_level_none: z.boolean().default(false),
  listen: z
    .string()
    .regex(/^[^\s:]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$/, 'host:port')
    .default('127.0.0.1:4878'),
  limits: limits.default({}),
  retention: z
    .strictObject({
      trash_days: z.number().nonnegative().default(7),
      trash_bytes: z
        .int()
        .nonnegative()
        .default(10 * 1024 ** 3),
      checkpoints: z.int().min(1).default(20).meta({ description: 'Newest checkpoints of a seat that are kept' }),
      checkpoint_days: z.number().positive().default(7),
      checkpoint_bytes: z
        .int()
        .positive()
        .default(4 * 1024 ** 3)
        .meta({ description: 'Of all checkpoints of one seat; the newest sound one always stays' }),
    })
    .prefault({}),
  open_registration: z
    .boolean()
    .default(false)
    .meta({ description: 'Whether heartbeats of agents that no mission knows are taken' }),
  revivals_at_once: z.int().min(1).max(64).default(4),
  dead_man: deadMan.prefault({}),
})
export type Config = z.infer<typeof config>
