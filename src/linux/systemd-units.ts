/** Text of the systemd units of one operator, from one template. Pure. */

export interface UnitFacts {
  readonly node: string
  /** The file that is the CLI. */
  readonly cli: string
  /** The door that gives a process a scope of its own, for managers that cannot place it beside its cells. */
  readonly as_operator: string
  readonly documentation: string
  /** Beside PATH, what the pit reads and this login had otherwise than by default. */
  readonly environment: Readonly<Record<string, string>>
  readonly systemd_version: number
  readonly dead_man_every_s: number
}

export const UNIT_NAMES = ['lazarus-pit.service', 'lazarus-dead-man.service', 'lazarus-dead-man.timer'] as const
export type UnitName = (typeof UNIT_NAMES)[number]

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
/** A cgroup that hands controllers on holds no process: since this version the manager itself puts the pit into a leaf. */
const PLACES_BELOW = 254

export const units = (facts: UnitFacts): Readonly<Record<UnitName, string>> => ({
  'lazarus-pit.service': pitService(facts),
  'lazarus-dead-man.service': deadManService(facts),
  'lazarus-dead-man.timer': deadManTimer(facts),
})

const pitService = (facts: UnitFacts): string => `[Unit]
Description=Lazarus Pit, orchestrator of mission cells
Documentation=${documentation(facts)}
StartLimitIntervalSec=300
StartLimitBurst=20

[Service]
${facts.systemd_version >= PLACES_BELOW ? watched(facts) : unwatched(facts)}
Slice=lazarus.slice
# Agents outlive the pit, and the next one adopts them; one that the kernel ends for its memory ends nobody else.
KillMode=process
OOMPolicy=continue
Delegate=yes
TasksMax=infinity
TimeoutStopSec=10
Restart=on-failure
RestartSec=1
# A wrong configuration, or a pit that runs already, is not mended by another start.
RestartPreventExitStatus=2 4
${common(facts)}
[Install]
WantedBy=default.target
`

/** The pit says when it is ready and that it is well; systemd-notify, its child, says it for the pit. */
const watched = (facts: UnitFacts): string => `Type=notify
NotifyAccess=all
ExecStart=${commandLine([facts.node, '--max-semi-space-size=4', facts.cli, 'serve'])}
DelegateSubgroup=pit
TimeoutStartSec=600
WatchdogSec=30
WatchdogSignal=SIGKILL`

/**
 * Here a pit that is started again would be put where cells already are, and the kernel refuses that. So each start gets
 * a scope of its own, from where it cannot talk to the manager: no watchdog, the dead-man switch notices a hung pit.
 */
const unwatched = (facts: UnitFacts): string => `Type=exec
ExecStart=${commandLine([facts.as_operator, facts.node, '--max-semi-space-size=4', facts.cli, 'serve'])}`

const deadManService = (facts: UnitFacts): string => `[Unit]
Description=One look at the Lazarus Pit from outside it
Documentation=${documentation(facts)}

[Service]
Type=oneshot
ExecStart=${commandLine([facts.node, facts.cli, 'dead-man'])}
TimeoutStartSec=120
${common(facts)}`

const deadManTimer = (facts: UnitFacts): string => `[Unit]
Description=Looks after the Lazarus Pit
Documentation=${documentation(facts)}

[Timer]
OnActiveSec=${facts.dead_man_every_s}
OnUnitActiveSec=${facts.dead_man_every_s}
AccuracySec=1

[Install]
WantedBy=timers.target
`

/**
 * No NoNewPrivileges, nor what implies it for a user's service (system call filters and the like): rootless Podman needs
 * newuidmap, which is setuid, and so do the mailers that an alert may use.
 */
const common = ({ environment }: UnitFacts): string =>
  ['UMask=0077', 'LimitCORE=0', ...Object.entries({ PATH, ...environment }).map(environmentLine), ''].join('\n')

const environmentLine = ([name, value]: [string, string]): string => `Environment=${quoted(`${name}=${value}`)}`

/** In arguments `$` begins a variable, in the name of the program it does not. */
const commandLine = ([program = '', ...args]: readonly string[]): string =>
  [quoted(program), ...args.map((arg) => quoted(arg).replaceAll('$', '$$$$'))].join(' ')

/** systemd starts no program whose path holds one of these, however it is quoted. */
export const isStartable = (path: string): boolean => !/["'\\\p{Cc}]/u.test(path)

const documentation = ({ documentation: path }: UnitFacts): string => `file:${encodeURI(path).replaceAll('%', '%%')}`

/** As systemd.syntax(7) reads it back: specifiers, quotes and control characters are escaped. */
export function quoted(word: string): string {
  const escaped = word
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('%', '%%')
    .replaceAll(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
  return /^[\w./=:@,+-]+$/.test(word) ? word : `"${escaped}"`
}
