import { LazarusError } from '../../kernel/errors.ts'

interface PageQuery {
  readonly limit?: number | undefined
  readonly after?: string | undefined
}

const DEFAULT_LIMIT = 100

/** The items after `after`, and where the next page goes on. */
export function page<T>(
  items: readonly T[],
  idOf: (item: T) => string,
  query: PageQuery,
): { items: readonly T[]; next: string | null } {
  const start = query.after === undefined ? 0 : positionAfter(items, idOf, query.after)
  const shown = items.slice(start, start + (query.limit ?? DEFAULT_LIMIT))
  const last = shown.at(-1)
  const more = start + shown.length < items.length
  return { items: shown, next: more && last !== undefined ? idOf(last) : null }
}

function positionAfter<T>(items: readonly T[], idOf: (item: T) => string, after: string): number {
  const position = items.findIndex((item) => idOf(item) === after)
  if (position >= 0) return position + 1
  throw new LazarusError(
    'invalid_request',
    `Invalid query: after: expected an id of this list, received ${JSON.stringify(after)}`,
  )
}
