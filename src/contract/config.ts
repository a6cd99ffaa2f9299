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
    })
    .prefault({}),
})
export type Config = z.infer<typeof config>
