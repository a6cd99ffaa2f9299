import type { Session } from './session.ts'

type Query = Readonly<Record<string, string | number | boolean | undefined>>

/** Every item of a list of the API, page by page; `name` is its key in the answer. */
export async function allPages<T>(
  session: Session,
  path: string,
  name: string,
  query: Query = {},
): Promise<readonly T[]> {
  const items: T[] = []
  let after: string | undefined
  do {
    const { value } = await session.get<Record<string, unknown>>(path, { query: { ...query, limit: 1000, after } })
    items.push(...(value[name] as T[]))
    after = (value.next as string | null) ?? undefined
  } while (after !== undefined)
  return items
}
