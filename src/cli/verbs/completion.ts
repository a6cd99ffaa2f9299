import type { Command } from 'commander'
import { LazarusError } from '../../kernel/errors.ts'
import { bashCompletion, fishCompletion, zshCompletion } from '../completion.ts'
import { addVerb, type Run } from '../verb.ts'

const SHELLS: Readonly<Record<string, (program: Command) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
}
const WORDS = {
  usage: 'completion <shell>',
  summary: 'print the completion of a shell: bash, zsh or fish',
  examples: [
    'completion bash > ~/.local/share/bash-completion/completions/lazarus',
    'completion fish > ~/.config/fish/completions/lazarus.fish',
  ],
}

export function addCompletionVerb(program: Command, run: Run): void {
  addVerb(program, run, WORDS, async (session, [shell = '']) => {
    const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined
    if (script) return session.write(script(program))
    throw new LazarusError('invalid_request', `There is no completion for ${JSON.stringify(shell)}`, {
      remedy: 'Name one of: bash, zsh, fish',
    })
  })
}
