import type { Collection } from '../../contract/seat.ts'
import type { Colours } from './colour.ts'
import { count, inert } from './human.ts'

const SHOWN = 20

/** Outcome, commits and what no commit holds, in a few lines. */
export function describeCollection(collection: Collection, colours: Colours): string {
  const { outcome, commits, diffstat, uncommitted } = collection
  const sum = `${count(commits.length, 'commit')}, ${count(diffstat.files, 'file')}, +${diffstat.insertions} -${diffstat.deletions}`
  const lines = commits
    .slice(0, SHOWN)
    .map((commit) => `  ${commit.id.slice(0, 10)} ${inert(commit.subject)} (${inert(commit.author)})`)
  const more = commits.length > SHOWN ? [`  … and ${commits.length - SHOWN} more`] : []
  const left = uncommitted.slice(0, SHOWN).map((path) => `  not committed: ${inert(path)}`)
  const leftMore = uncommitted.length > SHOWN ? [`  … and ${uncommitted.length - SHOWN} more paths`] : []
  return `${[`outcome: ${colours.status(outcome)} (${sum})`, ...lines, ...more, ...left, ...leftMore].join('\n')}\n`
}

export const fetchLine = (source: string, branch: string): string => `git fetch ${shellWord(source)} ${branch}`

/** As a POSIX shell reads it back. */
export const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
