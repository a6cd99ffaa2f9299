import type { Command } from 'commander'
import { addVerb, type Run } from '../verb.ts'

export function addVersionVerb(program: Command, run: Run): void {
  addVerb(program, run, { usage: 'version', summary: 'print the version', examples: ['version'] }, async (session) => {
    const { version } = session.settings
    await session.print({ text: JSON.stringify({ version }), value: version }, (text) => `lazarus ${text}\n`)
  })
}
