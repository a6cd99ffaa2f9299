import { parseArgs } from 'node:util'
import type { BenchRow } from './row.ts'

export interface Options {
  readonly rows: readonly BenchRow[]
  readonly quick: boolean
  readonly json: string | null
}

export class UsageError extends Error {}

export const usage = (
  rows: readonly BenchRow[],
): string => `usage: npm run bench -- [--quick] [--only ROW,…] [--json FILE]
  --quick      few samples: under 4 minutes instead of under 15
  --only ROW,… only these rows:
${rows.map((row) => `                 ${row.name.padEnd(16)} ${row.about}`).join('\n')}
  --json FILE  writes machine, every sample and every verdict as JSON
`

/** null: help was asked for. Throws UsageError. */
export function parseOptions(args: readonly string[], rows: readonly BenchRow[]): Options | null {
  const values = parse(args)
  if (values.help) return null
  const names = values.only?.split(',') ?? rows.map((row) => row.name)
  const unknown = names.filter((name) => !rows.some((row) => row.name === name))
  if (unknown.length > 0) throw new UsageError(`There is no row "${unknown.join('", "')}"`)
  return {
    rows: rows.filter((row) => names.includes(row.name)),
    quick: values.quick ?? false,
    json: values.json ?? null,
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        help: { type: 'boolean', short: 'h' },
        quick: { type: 'boolean' },
        only: { type: 'string' },
        json: { type: 'string' },
      },
    }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
