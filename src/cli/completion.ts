import type { Command } from 'commander'

interface Verb {
  /** "mission create" */
  readonly path: string
  readonly summary: string
  readonly options: readonly string[]
  readonly children: readonly string[]
  /** What its arguments name, in order. */
  readonly args: readonly string[]
}

/** The command tree, flat, the root first under the path ''. */
export function verbsOf(command: Command, path = ''): readonly Verb[] {
  const children = command.commands.filter((child) => child.name() !== 'help')
  const verb: Verb = {
    path,
    summary: command.description(),
    options: [...command.options.map((option) => option.long ?? ''), '--help'].filter((option) => option !== ''),
    children: children.map((child) => child.name()),
    args: command.registeredArguments.map((argument) => argument.name()),
  }
  return [verb, ...children.flatMap((child) => verbsOf(child, `${path} ${child.name()}`.trim()))]
}

const CASE_OF = {
  mission: 'missions',
  agent: 'agents',
  checkpoint: 'checkpoints',
  revival: 'revivals',
  shell: 'shells',
} as const

/** Verbs and options from the tree; missions and agents are asked of the pit. */
export function bashCompletion(program: Command): string {
  const verbs = verbsOf(program)
  return [
    '# completion of lazarus for bash; made by: lazarus completion bash',
    '_lazarus_words() {',
    '  case $1 in',
    ...verbs.map((verb) => `    '${verb.path}') echo "${[...verb.children, ...verb.options].join(' ')}" ;;`),
    '  esac',
    '}',
    '_lazarus_argument() {',
    '  case "$1:$2" in',
    ...verbs.flatMap((verb) => verb.args.flatMap((name, at) => argumentCase(verb, at, name))),
    '  esac',
    '}',
    BASH_REST,
  ].join('\n')
}

/** Where a verb of its own may stand as well as a mission, both are offered. */
function argumentCase({ path, children }: Verb, at: number, name: string): string[] {
  if (!(name in CASE_OF)) return []
  const kind = at === 0 && children.length > 0 ? 'verbs_or_missions' : CASE_OF[name as keyof typeof CASE_OF]
  return [`    '${path}:${at}') echo ${kind} ;;`]
}

const BASH_REST = `_lazarus() {
  local current=\${COMP_WORDS[COMP_CWORD]} verb='' word i arguments=()
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ $word == -- ]]; then
      COMPREPLY=($(compgen -c -- "$current"))
      return
    elif [[ $word == -* ]]; then
      continue
    elif [[ \${#arguments[@]} -eq 0 && -n $(_lazarus_words "\${verb:+$verb }$word") ]]; then
      verb="\${verb:+$verb }$word"
    else
      arguments+=("$word")
    fi
  done
  case $current:$(_lazarus_argument "$verb" "\${#arguments[@]}") in
    -*) COMPREPLY=($(compgen -W "$(_lazarus_words "$verb")" -- "$current")) ;;
    *:missions) COMPREPLY=($(compgen -W "$(lazarus mission ls --names 2>/dev/null)" -- "$current")) ;;
    *:verbs_or_missions)
      COMPREPLY=($(compgen -W "$(_lazarus_words "$verb") $(lazarus mission ls --names 2>/dev/null)" -- "$current")) ;;
    *:agents) COMPREPLY=($(compgen -W "$(lazarus seat ls "\${arguments[0]}" --names 2>/dev/null)" -- "$current")) ;;
    *:checkpoints)
      COMPREPLY=($(compgen -W "latest $(lazarus checkpoints "\${arguments[@]:0:2}" --ids 2>/dev/null)" -- "$current")) ;;
    *:revivals) COMPREPLY=($(compgen -W "$(lazarus revivals --ids 2>/dev/null)" -- "$current")) ;;
    *:shells) COMPREPLY=($(compgen -W 'bash zsh fish' -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$(_lazarus_words "$verb")" -- "$current")) ;;
  esac
}
complete -o default -F _lazarus lazarus
`

export const zshCompletion = (program: Command): string =>
  `#compdef lazarus\nautoload -U +X bashcompinit && bashcompinit\n${bashCompletion(program)}`

export function fishCompletion(program: Command): string {
  const verbs = verbsOf(program)
  const lines = verbs.flatMap((verb) => fishLines(verb, verbs))
  return [
    '# completion of lazarus for fish; made by: lazarus completion fish',
    'complete -c lazarus -f',
    ...lines,
    '',
  ].join('\n')
}

function fishLines(verb: Verb, verbs: readonly Verb[]): string[] {
  const words = verb.path === '' ? [] : verb.path.split(' ')
  const seen = words.map((word) => `__fish_seen_subcommand_from ${word}`)
  const child = (name: string) => verbs.find((one) => one.path === `${verb.path} ${name}`.trim())
  const none = verb.children.length === 0 ? [] : [`not __fish_seen_subcommand_from ${verb.children.join(' ')}`]
  const open = [...seen, ...none].join('; and ')
  return [
    ...verb.children.map(
      (name) => `complete -c lazarus -n ${quoted(open)} -a ${name} -d ${quoted(child(name)?.summary ?? '')}`,
    ),
    ...(words.length === 0
      ? []
      : verb.options.map((option) => `complete -c lazarus -n ${quoted(open)} -l ${option.slice(2)}`)),
    ...(verb.args[0] === 'mission'
      ? [`complete -c lazarus -n ${quoted(open)} -a '(lazarus mission ls --names 2>/dev/null)'`]
      : []),
  ]
}

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
