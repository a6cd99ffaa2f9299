import {
  CELL_FILES,
  CELL_FOLDERS,
  type CellFileName,
  type CellHealth,
  parseCellFile,
  type ScanReport,
} from '../contract/cell.ts'
import { epochOf } from '../kernel/clock.ts'

/** What was found at a path, without having judged it. */
export type FolderFact = 'folder' | 'missing' | { readonly unusable: string }
export type FileFact = { readonly text: string } | 'missing' | { readonly unusable: string }

export interface CellFacts {
  readonly folders: Readonly<Record<(typeof CELL_FOLDERS)[number], FolderFact>>
  readonly files: Readonly<Record<CellFileName, FileFact>>
  /** Whether `record.json` is there: an archived mission has no more than it. */
  readonly record: boolean
}

type Verdict = Pick<ScanReport['cells'][number], 'health' | 'problems' | 'status' | 'heartbeat_age_s'>

function parse<Name extends CellFileName>(name: Name, fact: FileFact) {
  if (fact === 'missing') return { problem: `${name} is missing` }
  return 'unusable' in fact ? { problem: `${name} ${fact.unusable}` } : parseCellFile(name, fact.text)
}

const parsedValue = <T>(parsed: { readonly value: T } | { readonly problem: string }): T | null =>
  'value' in parsed ? parsed.value : null

const folderProblems = (folders: CellFacts['folders']): string[] =>
  CELL_FOLDERS.flatMap((name) => {
    const fact = folders[name]
    if (fact === 'folder') return []
    return fact === 'missing' ? [`${name}/ is missing`] : [`${name} ${fact.unusable}`]
  })

const fileProblems = (files: CellFacts['files']): string[] =>
  (Object.keys(CELL_FILES) as CellFileName[]).flatMap((name) => {
    const parsed = parse(name, files[name])
    return 'problem' in parsed ? [parsed.problem] : []
  })

/**
 * `uninitialized`: neither `cell.json` nor `meta/mission.json`. `incomplete`: something required is missing or does
 * not parse. `stale`: the heartbeat is older than the cell's own `timeout`. Else `healthy`. An archived cell needs
 * its identity and its record, and no heartbeat.
 */
export function classifyCell(facts: CellFacts, now_ms: number): Verdict {
  const { files } = facts
  const cell = parsedValue(parse('cell.json', files['cell.json']))
  const meta = parsedValue(parse('meta/mission.json', files['meta/mission.json']))
  const heartbeat = parsedValue(parse('state/heartbeat.json', files['state/heartbeat.json']))
  const age = heartbeat && Math.max(0, now_ms - epochOf(heartbeat.timestamp)) / 1000
  const verdict = (health: CellHealth, problems: string[]): Verdict => ({
    health,
    problems,
    status: cell?.status ?? meta?.status ?? null,
    heartbeat_age_s: age,
  })

  if (files['cell.json'] === 'missing' && files['meta/mission.json'] === 'missing') {
    return verdict('uninitialized', ['neither cell.json nor meta/mission.json is there'])
  }
  if (meta?.status === 'archived' && facts.record) return verdict('healthy', [])
  const problems = [...folderProblems(facts.folders), ...fileProblems(files)]
  if (problems.length > 0) return verdict('incomplete', problems)
  if (age! > cell!.timeout)
    return verdict('stale', [`the heartbeat is ${age} s old, more than the timeout of ${cell!.timeout} s`])
  return verdict('healthy', [])
}
