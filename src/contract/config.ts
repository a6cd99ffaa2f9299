import { z } from 'zod'
import { limits } from './policy.ts'

/** `~/.lazarus/config.json`. Seconds. An unknown key is an error. */
export const config = z.strictObject({
  poll_interval: z.number().positive().default(30),
  timeout: z.number().positive().default(300),
  max_retries: z.int().nonnegative().default(3),
  auto_revive: z.union([z.boolean(), z.enum(['yes', 'no', 'ask'])]).default(true),
  gateways: z.record(z.string(), z.url()).default({}),
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
})
export type Config = z.infer<typeof config>
