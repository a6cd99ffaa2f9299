import { InvalidArgumentError } from 'commander'

const LEVELS: Readonly<Record<string, string>> = { '1': 'level_1', '2': 'level_2', '3': 'level_3', none: 'none' }

export function level(text: string): string {
  const known = LEVELS[text.replace(/^level[_-]/, '')]
  if (known === undefined) throw new InvalidArgumentError('Expected 1, 2, 3 or none.')
  return known
}

export function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('Expected a whole number.')
  return Number(text)
}

/** Seconds, with a unit when one is given: 90, 90s, 5m, 2h, 1d. */
export function seconds(text: string): number {
  const [, amount, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text) ?? []
  const scale = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 }[unit]
  if (amount === undefined || scale === undefined || Number(amount) === 0) {
    throw new InvalidArgumentError('Expected seconds, or a number with ms, s, m, h or d.')
  }
  return Number(amount) * scale
}

/** Bytes, with a unit when one is given: 512M, 2G (powers of 1024). */
export function bytes(text: string): number {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)([kmgt]?)i?b?$/i.exec(text) ?? []
  if (amount === undefined) throw new InvalidArgumentError('Expected bytes, or a number with K, M, G or T.')
  return Math.round(Number(amount) * 1024 ** ' kmgt'.indexOf(unit.toLowerCase() || ' '))
}

/** For options that may be repeated. */
export function pair(text: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('Expected NAME=VALUE.')
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) }
}

const LIMITS: Readonly<Record<string, (text: string) => number>> = {
  cpu: (text) => positive(text),
  memory: bytes,
  disk: bytes,
  tmp: bytes,
  pids: wholeNumber,
  nofile: wholeNumber,
}

/** memory=512M, cpu=1.5, pids=200, … */
export function limit(text: string, before: Readonly<Record<string, number>> = {}): Readonly<Record<string, number>> {
  const at = text.indexOf('=')
  const name = text.slice(0, at)
  const parse = at > 0 && Object.hasOwn(LIMITS, name) ? LIMITS[name] : undefined
  if (parse === undefined)
    throw new InvalidArgumentError(`Expected NAME=VALUE with one of ${Object.keys(LIMITS).join(', ')}.`)
  return { ...before, [name]: parse(text.slice(at + 1)) }
}

function positive(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text) || Number(text) === 0) throw new InvalidArgumentError('Expected a positive number.')
  return Number(text)
}

/** A line for the shell of the cell, or the words themselves as a JSON array. */
export function commandLine(text: string): readonly string[] {
  if (text.trim() !== '' && !text.startsWith('[')) return ['sh', '-c', text]
  try {
    const words: unknown = JSON.parse(text)
    if (Array.isArray(words) && words.length > 0 && words.every((word) => typeof word === 'string')) return words
  } catch {}
  throw new InvalidArgumentError('Expected a line for sh, or a JSON array of words: ["claude", "--continue"].')
}

/** Agent ids with commas between them; for options that may be repeated. */
export const agents = (text: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  ...text.split(',').map((id) => id.trim()),
]

export function signalName(text: string): string {
  const name = text.toUpperCase()
  return name.startsWith('SIG') ? name : `SIG${name}`
}
