import { type Command, Option } from 'commander'
import { agents, level, limit, seconds, wholeNumber } from './parse.ts'

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
}

/** What becomes of agents that die, hang or end. */
export interface RevivalOptions {
  readonly autoRevive?: string
  readonly maxRetries?: number
  readonly retryWindow?: number
  readonly reviveTimeout?: number
  readonly substitute?: readonly string[]
  readonly hungAfter?: number
  readonly onSuccess?: string
  readonly checkpointInterval?: number
}

export function addRevivalOptions(verb: Command): Command {
  const group = 'When agents die:'
  const options = [
    autoRevive('yes'),
    new Option('--max-retries <n>', 'revivals within the window, then quarantine (default: 3)').argParser(wholeNumber),
    new Option('--retry-window <duration>', 'revivals count for so long (default: 10m)').argParser(seconds),
    new Option('--revive-timeout <duration>', 'a revival that takes longer is given up (default: 5m)').argParser(
      seconds,
    ),
    new Option('--substitute <agents>', 'who takes over, in order, when the retries are used up').argParser(agents),
    new Option('--hung-after <duration>', 'kill an agent whose heartbeats stop for so long (default: never)').argParser(
      seconds,
    ),
    new Option('--on-success <what>', 'when an agent ends with exit code 0 (default: idle)').choices([
      'idle',
      'complete',
      'restart',
    ]),
    new Option('--checkpoint-interval <duration>', 'between checkpoints of a changed seat (default: 5m)').argParser(
      seconds,
    ),
  ]
  for (const option of options) verb.addOption(option.helpGroup(group))
  return verb
}

export const autoRevive = (usual: string): Option =>
  new Option('--auto-revive <answer>', `bring agents back that die (default: ${usual})`).choices(['yes', 'no', 'ask'])

/** The policies that the options name; undefined when they name none. */
export function policyFields(options: RevivalOptions): Record<string, unknown> | undefined {
  const policies = without({
    auto_revive: options.autoRevive,
    max_retries: options.maxRetries,
    retry_window: options.retryWindow,
    revive_timeout: options.reviveTimeout,
    substitute_agents: options.substitute,
    hung_after: options.hungAfter,
    on_success: options.onSuccess,
    checkpoint_interval: options.checkpointInterval,
  })
  return Object.keys(policies).length > 0 ? policies : undefined
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
