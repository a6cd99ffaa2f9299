import type { DestroyReport, FinalSnapshot, HomesProof, KeptCommits, Released } from '../../contract/mission.ts'
import { fetchLine } from './collection.ts'
import { count, inert, size } from './human.ts'

export function describeDestroy(report: DestroyReport): string {
  return [
    `destroyed ${report.mission_id}`,
    `released: ${describeReleased(report.released)}`,
    ...report.final_checkpoints.map(describeSnapshot),
    ...describeHomes(report.homes),
    ...(report.collected === null ? [] : describeKept(report.collected)),
    '',
  ].join('\n')
}

export const describeReleased = ({ processes, containers, mounts }: Released): string =>
  `${count(processes, 'process', 'processes')}, ${count(containers, 'container')}, ${count(mounts, 'mount')}`

export const describeSnapshot = ({ agent_id, path, bytes, keep_until }: FinalSnapshot): string =>
  `last snapshot of ${agent_id}: ${inert(path)} (${size(bytes)}, kept until ${keep_until.slice(0, 10)})`

function describeHomes(homes: HomesProof): string[] {
  const unread = homes.unreadable === 0 ? '' : `, ${count(homes.unreadable, 'directory', 'directories')} not readable`
  const looked = `${count(homes.checked, 'home')}, ${count(homes.entries, 'entry', 'entries')}${unread}`
  if (homes.changed.length === 0) return [`homes: unchanged (${looked})`]
  return [`homes: CHANGED (${looked})`, ...homes.changed.map(({ path, what }) => `  ${inert(path)}: ${what}`)]
}

const describeKept = ({ path, branches, bytes, keep_until }: KeptCommits): string[] => [
  `To bring the commits home (${size(bytes)}, kept until ${keep_until.slice(0, 10)}):`,
  ...branches.map((branch) => `  ${fetchLine(path, branch)}`),
]
