export interface Colours {
  bold(text: string): string
  dim(text: string): string
  /** By what a status means: good, doubtful, bad, or nothing special. */
  status(text: string): string
}

const GREEN = new Set(['active', 'ready', 'healthy', 'delivered', 'completed', 'ok', 'unchanged', 'revived'])
const YELLOW = new Set([
  'paused',
  'degraded',
  'stale',
  'requested',
  'spawning',
  'uncommitted',
  'incomplete',
  'archiving',
  'destroying',
  'withdrawing',
  'awaiting_approval',
  'reviving',
  'open',
])
const RED = new Set(['dead', 'quarantined', 'failed', 'unavailable', 'unhealthy', 'changed', 'error'])

export const plain: Colours = { bold: String, dim: String, status: String }

const paint = (code: number) => (text: string) => `\u001b[${code}m${text}\u001b[0m`
const [red, green, yellow] = [paint(31), paint(32), paint(33)]

export const coloured: Colours = {
  bold: paint(1),
  dim: paint(2),
  status(text) {
    if (GREEN.has(text)) return green(text)
    if (YELLOW.has(text)) return yellow(text)
    return RED.has(text) ? red(text) : text
  },
}
