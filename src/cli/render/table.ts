import { inert } from './human.ts'

export interface Column<T> {
  readonly title: string
  readonly value: (row: T) => string | number | null
  readonly align?: 'right'
  /** Given the padded cell, so that colour never changes a width. */
  readonly paint?: (cell: string, value: string) => string
}

const GAP = '  '

/** Columns as wide as their widest cell; one line per row. */
export function table<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  const cells = rows.map((row) => columns.map((column) => textOf(column.value(row))))
  const widths = columns.map((column, i) => Math.max(column.title.length, ...cells.map((row) => row[i]!.length)))
  const pad = (text: string, i: number) =>
    columns[i]!.align === 'right' ? text.padStart(widths[i]!) : text.padEnd(widths[i]!)
  const head = columns.map((column, i) => pad(column.title, i)).join(GAP)
  const body = cells.map((row) =>
    row.map((text, i) => columns[i]!.paint?.(pad(text, i), text) ?? pad(text, i)).join(GAP),
  )
  return [head, ...body].map((line) => `${line.trimEnd()}\n`).join('')
}

const textOf = (value: string | number | null): string => (value === null || value === '' ? '-' : inert(String(value)))

/** Names and values below each other: "status   active". */
export function facts(rows: readonly (readonly [name: string, value: string | number | null])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `${name.padEnd(width)}${GAP}${textOf(value)}\n`).join('')
}
