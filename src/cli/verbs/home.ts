import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Seal, Verification } from '../../contract/home.ts'
import { EXIT } from '../exit-codes.ts'
import { count, duration, inert } from '../render/human.ts'
import { addVerb, type Run } from '../verb.ts'

const SEAL = {
  usage: 'seal [paths...]',
  summary: 'record every entry of the homes; prints the id of the seal',
  examples: ['home seal', 'home seal /home/ana --content', 'SEAL=$(lazarus home seal --quiet)'],
  notes: 'Without paths: every home that the configuration names.',
}
const VERIFY = {
  usage: 'verify <seal>',
  summary: 'compare the homes with a seal; exit code 1 when anything changed',
  examples: ['home verify "$SEAL"', 'home verify "$SEAL" --json > homes.json'],
}

export function addHomeVerbs(program: Command, run: Run): void {
  const home = program
    .command('home')
    .helpCommand(false)
    .description('seal the homes, and verify that nothing in them changed')
  addVerb<{ content?: true; quiet?: true }>(
    home,
    run,
    SEAL,
    async (session, paths, { content, quiet }) => {
      const body = {
        ...(paths.length > 0 ? { paths: paths.map((path) => resolve(session.io.cwd, path)) } : {}),
        ...(content ? { content } : {}),
      }
      const answer = await session.progress('Reading the homes', session.post<Seal>('/v1/homes/seal', body))
      await session.print(answer, (seal) => (quiet ? `${seal.seal_id}\n` : `${seal.seal_id}\n${sealed(seal)}`))
    },
    (verb) =>
      verb.option('--content', 'also hash the content of every file').option('-q, --quiet', 'print the id alone'),
  )
  addVerb(home, run, VERIFY, async (session, [seal_id]) => {
    const answer = await session.progress(
      'Comparing the homes',
      session.post<Verification>('/v1/homes/verify', { seal_id }),
    )
    await session.print(answer, verified)
    return answer.value.unchanged ? EXIT.done : EXIT.failed
  })
}

const sealed = (seal: Seal): string =>
  `${count(seal.entries, 'entry', 'entries')} of ${count(seal.homes.length, 'home')} sealed in ${duration(seal.took_ms)}${unread(seal.unreadable)}\n`

const unread = (unreadable: number): string =>
  unreadable === 0 ? '' : `, ${count(unreadable, 'directory', 'directories')} not readable`

function verified(result: Verification): string {
  const lines = result.changed.map(({ path, what }) => `${inert(path)}: ${what}\n`).join('')
  const more = result.changes - result.changed.length
  const verdict = result.unchanged ? 'Nothing changed' : count(result.changes, 'change')
  return `${lines}${more > 0 ? `… and ${more} more\n` : ''}${verdict} among ${count(result.entries, 'entry', 'entries')} (${duration(result.took_ms)})${unread(result.unreadable)}.\n`
}
