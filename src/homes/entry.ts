import { isUtf8 } from 'node:buffer'

/**
 * One entry of a sealed tree is one NUL-ended record: the path, "//", eight fields, the target of a symlink. No path
 * that find prints has a doubled slash, so the first one ends the path whatever bytes the names hold; and all records
 * of one path are neighbours in any order by bytes. The access time is not recorded: looking changes it.
 */
export const ENTRY_FORMAT = String.raw`%p//%y %m %U:%G %s %T@ %C@ %i - %l\0`
const PATH_END = Buffer.from('//')
const FIELDS = ['type', 'mode', 'owner', 'size', 'mtime', 'ctime', 'inode', 'content'] as const
const CONTENT = FIELDS.indexOf('content')

/** End of the path in a record. */
export const pathEnd = (record: Buffer): number => record.indexOf(PATH_END)

interface Fields {
  readonly values: readonly string[]
  readonly target: string
}

function fieldsOf(record: Buffer): Fields {
  const words = record.toString('latin1', pathEnd(record) + PATH_END.length).split(' ')
  return { values: words.slice(0, FIELDS.length), target: words.slice(FIELDS.length).join(' ') }
}

export const isRegularFile = (record: Buffer): boolean => fieldsOf(record).values[0] === 'f'

/** The record with what was read of the file's content in its place. */
export function withContent(record: Buffer, content: string): Buffer {
  const { values, target } = fieldsOf(record)
  const fields = [...values.with(CONTENT, content), target].join(' ')
  return Buffer.concat([record.subarray(0, pathEnd(record) + PATH_END.length), Buffer.from(fields, 'latin1')])
}

/** The fields in which two records of one path differ, as words for people: "size,mtime,ctime". */
export function differences(before: Buffer, after: Buffer): string {
  const [a, b] = [fieldsOf(before), fieldsOf(after)]
  const names: string[] = FIELDS.filter((_, i) => a.values[i] !== b.values[i])
  if (a.target !== b.target) names.push('target')
  return names.join(',')
}

/** Bytes as text; each byte that belongs to no UTF-8 character as %XX. */
export function showBytes(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8')
  let shown = ''
  for (let at = 0; at < bytes.length; ) {
    const length = [1, 2, 3, 4].find((n) => at + n <= bytes.length && isUtf8(bytes.subarray(at, at + n)))
    shown += length ? bytes.toString('utf8', at, at + length) : `%${bytes.toString('hex', at, at + 1).toUpperCase()}`
    at += length ?? 1
  }
  return shown
}
