import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { CellHealth, ScanReport } from '../contract/cell.ts'
import { classifyCell } from '../domain/cell-classification.ts'
import { isoTime } from '../kernel/clock.ts'
import { asLazarusError } from '../kernel/errors.ts'
import { lookAtCell } from './cell-facts.ts'

type Cell = ScanReport['cells'][number]

/** Directories only: a symlink in the missions root is no cell. Names with a leading dot are the pit's own. */
async function cellNames(missions_path: string): Promise<string[]> {
  const entries = await readdir(missions_path, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw asLazarusError(error)
  })
  return entries.flatMap((entry) => (entry.isDirectory() && !entry.name.startsWith('.') ? [entry.name] : [])).sort()
}

function summarise(cells: readonly Cell[]): ScanReport['summary'] {
  const count = (health: CellHealth) => cells.filter((cell) => cell.health === health).length
  return {
    total: cells.length,
    healthy: count('healthy'),
    stale: count('stale'),
    incomplete: count('incomplete'),
    uninitialized: count('uninitialized'),
  }
}

/** Classifies every directory below the missions root, whoever made it. One that vanishes meanwhile is uninitialized. */
export async function scanCells(
  missions_path: string,
  known: ReadonlySet<string>,
  now_ms: number,
): Promise<ScanReport> {
  const cells: Cell[] = []
  for (const cell_id of await cellNames(missions_path)) {
    const path = join(missions_path, cell_id)
    cells.push({ cell_id, path, known: known.has(cell_id), ...classifyCell(await lookAtCell(path), now_ms) })
  }
  return { missions_path, scanned_at: isoTime(now_ms), summary: summarise(cells), cells }
}
