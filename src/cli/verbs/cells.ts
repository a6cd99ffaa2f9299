import type { Command } from 'commander'
import type { ScanReport } from '../../contract/cell.ts'
import type { Mission } from '../../contract/mission.ts'
import { duration } from '../render/human.ts'
import { table } from '../render/table.ts'
import { addVerb, type Run } from '../verb.ts'

const SCAN = {
  usage: 'scan',
  summary: 'health of every cell directory: healthy, stale, incomplete or uninitialized',
  examples: ['scan', 'scan --json | jq .summary'],
}
const INIT = {
  usage: 'init-cell <uuid>',
  summary: 'lay out a cell directory for an id of your choice',
  examples: ['init-cell "$(uuidgen)"'],
}

export function addCellVerbs(program: Command, run: Run): void {
  addVerb(program, run, INIT, async (session, [uuid = '']) => {
    await session.print(
      await session.post<Mission>(`/v1/cells/${encodeURIComponent(uuid)}`),
      (mission) => `${mission.directory}\n`,
    )
  })
  addVerb(program, run, SCAN, async (session) => {
    const answer = await session.progress('Looking at the cells', session.get<ScanReport>('/v1/cells'))
    await session.print(answer, (report) => render(report, session.colours.status))
  })
}

function render(report: ScanReport, status: (text: string) => string): string {
  const { total, healthy, stale, incomplete, uninitialized } = report.summary
  const summary = `${total} in ${report.missions_path}: ${healthy} healthy, ${stale} stale, ${incomplete} incomplete, ${uninitialized} uninitialized\n`
  if (report.cells.length === 0) return summary
  const rows = table<ScanReport['cells'][number]>(
    [
      { title: 'CELL', value: (cell) => cell.cell_id },
      { title: 'HEALTH', value: (cell) => cell.health, paint: (cell, value) => cell.replace(value, status(value)) },
      { title: 'STATUS', value: (cell) => cell.status },
      {
        title: 'HEARTBEAT',
        value: (cell) => (cell.heartbeat_age_s === null ? null : `${duration(cell.heartbeat_age_s * 1000)} ago`),
      },
      { title: 'PROBLEMS', value: (cell) => cell.problems.join('; ') },
    ],
    report.cells,
  )
  return `${rows}\n${summary}`
}
