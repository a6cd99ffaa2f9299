import type { Series } from './contest.ts'
import { met, type RowReport, type Verdict } from './row.ts'
import { summarise } from './statistics.ts'

/** Three significant digits, thousands in groups. */
export function number(value: number): string {
  if (Number.isNaN(value)) return '–'
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value) || 1)))
  return value.toLocaleString('en-US', { maximumFractionDigits: Math.min(digits, 3), useGrouping: true })
}

/** A Markdown table whose columns are also straight in a terminal; the first column is text, the others numbers. */
export function table(head: readonly string[], body: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) =>
    Math.max(3, ...[title, ...body.map((line) => line[i] ?? '')].map((cell) => cell.length)),
  )
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | ')} |`
  const rule = `|${widths.map((width, i) => (i === 0 ? `:${'-'.repeat(width + 1)}` : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  return [line(head), rule, ...body.map(line)].join('\n')
}

export function renderRow(row: RowReport): string {
  const parts = [`### ${row.title}`]
  if (row.series.length > 0) parts.push(table([row.unit, 'p50', 'p95', 'p99', 'samples'], row.series.map(seriesLine)))
  const failures = row.series
    .filter((s) => s.failure !== null)
    .map((s) => `${s.name} could not be measured: ${s.failure!.slice(0, 300)}`)
  if (row.verdicts.length > 0) parts.push(table(['target', 'asked', 'reached', ''], row.verdicts.map(verdictLine)))
  const notes = [...failures, ...row.notes]
  if (notes.length > 0) parts.push(notes.map((note) => `- ${note}`).join('\n'))
  return parts.join('\n\n')
}

function seriesLine({ name, samples }: Series): string[] {
  const { p50, p95, p99, count } = summarise(samples)
  return [name, number(p50), number(p95), number(p99), String(count)]
}

function verdictLine(verdict: Verdict): string[] {
  const { what, value, unit, bound, target } = verdict
  if (target === null) return [what, '–', `${number(value)} ${unit}`, 'for information']
  const answer = { true: 'met', false: 'NOT MET', null: 'not measured' }[`${met(verdict)}`]
  return [what, `${bound === 'at least' ? '≥' : '≤'} ${number(target)} ${unit}`, `${number(value)} ${unit}`, answer]
}
