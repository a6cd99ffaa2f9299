import { type Command, Option } from 'commander'
import { level, limit, seconds, wholeNumber } from './parse.ts'

/** What `run` and `mission create` can say of a mission. */
export interface MissionOptions {
  readonly level: string
  readonly repo?: string
  readonly ref?: string
  readonly workspace?: string
  readonly network?: true | string
  readonly limit?: Readonly<Record<string, number>>
  readonly image?: string
  readonly containerfile?: string
  readonly degradable?: string
}

export function addMissionOptions(verb: Command): Command {
  return verb
    .option('-l, --level <level>', 'isolation: 1, 2, 3 or none', level, 'level_2')
    .option('--ref <ref>', 'branch, tag or commit to start from (default: HEAD)')
    .addOption(new Option('--workspace <mode>', 'how seats get their worktree').choices(['overlay', 'clone']))
    .addOption(
      new Option('--network [mode]', 'network of the cells; alone it means host')
        .choices(['none', 'allowlist', 'host'])
        .preset('host'),
    )
    .option('--limit <name=value>', 'cpu, memory, disk, tmp, pids or nofile of each seat; repeatable', limit)
    .option('--image <image>', 'image of level 3')
    .option('--containerfile <path>', 'Containerfile of level 3')
    .option('--degradable <promises>', 'promises to give up where this host cannot keep them, comma-separated')
}

export function addLifeOptions(verb: Command): Command {
  return verb
    .option('--max-agents <n>', 'seats that the mission may have', wholeNumber)
    .option('--timeout <duration>', 'how long the mission may take: 90s, 30m, 2h', seconds)
    .addOption(new Option('--auto-revive <answer>', 'revive dead agents').choices(['yes', 'no', 'ask']))
}

/** The part of the request that the options above stand for. */
export function missionFields(options: MissionOptions): Record<string, unknown> {
  const { network, limit: limits, image, containerfile, degradable } = options
  const policy = without({
    network,
    limits,
    image,
    containerfile,
    degradable: degradable?.split(',').map((name) => name.trim()),
  })
  return without({
    isolation_level: options.level,
    workspace: options.workspace,
    policy: Object.keys(policy).length > 0 ? policy : undefined,
  })
}

/** JSON has no undefined, and the schema refuses what is not there to be said. */
export const without = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
