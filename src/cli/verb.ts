import { type Command, type CommandOptions, Option } from 'commander'
import type { CommonOptions, Session } from './session.ts'

/** Makes the session of a call from its options, runs it, and keeps its exit code. */
export type Run = (options: CommonOptions, action: (session: Session) => Promise<number | undefined>) => Promise<void>

export interface VerbWords {
  /** As commander spells it: "inspect <mission>". */
  readonly usage: string
  readonly summary: string
  /** Whole command lines, without the "lazarus" at the front. */
  readonly examples: readonly string[]
  /** More that is worth knowing, above the examples. */
  readonly notes?: string
}

type Options<T> = T & CommonOptions

/** One verb: words, options, and what it does with (session, arguments, options). Its result is the exit code; none is 0. */
export function addVerb<T = object>(
  parent: Command,
  run: Run,
  words: VerbWords,
  act: (session: Session, args: readonly string[], options: Options<T>) => Promise<number> | Promise<void>,
  describe: (verb: Command) => void = () => {},
  place: CommandOptions = {},
): Command {
  const verb = parent.command(words.usage, place).description(words.summary)
  describe(verb)
  addCommonOptions(verb)
  verb.addHelpText('after', helpAfter(words))
  return verb.action(async () => {
    const options = verb.opts<Options<T>>()
    await run(options, async (session) => {
      const exit = await act(session, verb.args, options)
      return typeof exit === 'number' ? exit : undefined
    })
  })
}

function addCommonOptions(verb: Command): void {
  verb
    .addOption(new Option('--json', 'print the answer of the REST API as it is').helpGroup('Common options:'))
    .addOption(
      new Option('--state-dir <path>', 'state directory of the pit (default: $LAZARUS_STATE_DIR)').helpGroup(
        'Common options:',
      ),
    )
    .addOption(
      new Option('--socket <path>', 'socket of the pit (default: <state-dir>/api.sock)').helpGroup('Common options:'),
    )
    .addOption(new Option('--url <url>', 'talk to the pit over TCP, with a token').helpGroup('Common options:'))
    .addOption(
      new Option(
        '--token-file <path>',
        'file with the token (default: $LAZARUS_TOKEN, <state-dir>/operator.token)',
      ).helpGroup('Common options:'),
    )
    .helpOption('-h, --help', 'show this help')
}

function helpAfter({ notes, examples }: VerbWords): string {
  const lines = examples.map((example) => `  lazarus ${example}`)
  return `${notes === undefined ? '' : `\n${notes}\n`}\nExamples:\n${lines.join('\n')}`
}
