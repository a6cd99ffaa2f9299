import { z } from 'zod'
import { isoDateTime, sealId } from './ids.ts'

export const sealRequest = z.strictObject({
  paths: z
    .array(z.string().startsWith('/'))
    .min(1)
    .max(1000)
    .optional()
    .meta({ description: 'Default: every registered home' }),
  content: z.boolean().default(false).meta({ description: 'Also hash the content of every file' }),
})
export type SealRequest = z.infer<typeof sealRequest>

export const seal = z.strictObject({
  seal_id: sealId,
  created_at: isoDateTime,
  homes: z.array(z.string()),
  entries: z.int(),
  unreadable: z.int(),
  content: z.boolean(),
  took_ms: z.number(),
})
export type Seal = z.infer<typeof seal>

/** `seal.json`, beside the records of a seal. */
export const sealFile = z.strictObject({
  seal,
  roots: z
    .array(z.string())
    .meta({ description: 'Where the walk begins: the outermost homes, and symlinks that lead to homes' }),
  sha256: z.string().meta({ description: 'Of the file of records' }),
})
export type SealFile = z.infer<typeof sealFile>

export const verifyRequest = z.strictObject({ seal_id: sealId })

export const homeChange = z.strictObject({
  path: z.string().meta({ description: 'Bytes that are not UTF-8 appear as %XX' }),
  what: z.string().meta({
    description: 'added, removed, or the fields that differ: type, mode, owner, size, mtime, ctime, inode, content',
  }),
})

export const verification = z.strictObject({
  seal_id: sealId,
  unchanged: z.boolean(),
  entries: z.int(),
  unreadable: z.int(),
  changed: z.array(homeChange).meta({ description: 'At most 10,000, in path order' }),
  changes: z.int().meta({ description: 'How many there are in all' }),
  took_ms: z.number(),
})
export type Verification = z.infer<typeof verification>
