import { type Command, Option } from 'commander'
import type { LayerUsage, Seat, SpawnedSeat } from '../../contract/seat.ts'
import { missionPath, seatPath } from '../find-mission.ts'
import { waitingFor } from '../find-revival.ts'
import { without } from '../mission-options.ts'
import { commandLine, limit, pair, seconds } from '../parse.ts'
import { count, size } from '../render/human.ts'
import { describeSpawned, seatTable } from '../render/seats.ts'
import type { Session } from '../session.ts'
import { addVerb, type Run } from '../verb.ts'
import { addWithdrawVerb } from './withdraw.ts'

interface AddOptions {
  role?: string
  env?: Readonly<Record<string, string>>
  network?: string
  limit?: Readonly<Record<string, number>>
  resumeCommand?: readonly string[]
  heartbeatInterval?: number
}

const ADD = {
  usage: 'add <mission> <agent> [command...]',
  summary: 'seat an agent: spawn its sandbox; without a command the seat stays open for exec',
  examples: [
    'seat add mend builder',
    'seat add mend reader --role read',
    'seat add mend builder --env MODE=fast -- sh -c "make && git commit -am done"',
    'seat add mend coder --resume-command "claude --continue" -- claude -p "fix the tests"',
  ],
  notes:
    'The token that is printed is shown once.\n' +
    'An agent that dies comes back as the policy of its mission says, with its --resume-command, or with its command when\n' +
    'it has none. That command sees where it comes from in $LAZARUS_RESUMED_FROM, and its work as it left it.',
}
const LIST = {
  usage: 'ls <mission>',
  summary: 'list the seats of a mission',
  examples: ['seat ls mend', 'seat ls mend --json'],
}
const USAGE = {
  usage: 'usage <mission> <agent>',
  summary: 'what the layer and the in-cell home of a seat occupy on the host',
  examples: ['seat usage mend builder', 'seat usage mend builder --json'],
}
const REMOVE = {
  usage: 'rm <mission> <agent>',
  summary: 'withdraw an agent; the same as lazarus withdraw',
  examples: ['seat rm mend builder', 'seat rm mend builder --force'],
}

export function addSeatVerbs(program: Command, run: Run): void {
  const seat = program
    .command('seat')
    .helpCommand(false)
    .description('seat agents in a mission, list and withdraw them')
  addVerb<AddOptions>(seat, run, ADD, add, (verb) => {
    verb
      .addOption(
        new Option('--role <role>', 'what the agent may do (default: write)').choices([
          'lead',
          'write',
          'read',
          'audit',
        ]),
      )
      .option('--env <name=value>', 'variable of the agent; repeatable', pair)
      .addOption(new Option('--network <mode>', 'network of this seat').choices(['none', 'allowlist', 'host']))
      .option('--limit <name=value>', 'limit of this seat; repeatable', limit)
      .option('--resume-command <line>', 'how it goes on after a revival: a line for sh, or a JSON array', commandLine)
      .option('--heartbeat-interval <duration>', 'how often it promises a heartbeat (default: poll_interval)', seconds)
  })
  addVerb<{ names?: true }>(
    seat,
    run,
    LIST,
    async (session, [mission = ''], { names }) => {
      const answer = await session.get<{ seats: Seat[] }>(`${await missionPath(session, mission)}/seats`, {
        query: { limit: 1000 },
      })
      const waiting = session.json || names ? new Map() : await waitingFor(session, answer.value.seats)
      await session.print(answer, ({ seats }) => {
        if (names) return seats.map((one) => `${one.agent_id}\n`).join('')
        return seats.length === 0 ? 'No seats.\n' : seatTable(session, seats, waiting)
      })
    },
    (verb) => verb.option('--names', 'print agent ids alone'),
  )
  addVerb(seat, run, USAGE, async (session, [mission = '', agent = '']) => {
    const answer = await session.get<LayerUsage>(`${await seatPath(session, mission, agent)}/usage`)
    await session.print(answer, ({ bytes, entries, limit: most }) => {
      const of = most === null ? '' : ` of ${size(most)}`
      return `${size(bytes)}${of} in ${count(entries, 'entry', 'entries')}\n`
    })
  })
  addWithdrawVerb(seat, run, REMOVE)
}

async function add(
  session: Session,
  [mission = '', agent_id, ...command]: readonly string[],
  options: AddOptions,
): Promise<void> {
  const { role, env, network, limit: limits, resumeCommand: resume_command, heartbeatInterval } = options
  const body = without({
    agent_id,
    role,
    command: command.length > 0 ? command : undefined,
    resume_command,
    env,
    network,
    limits,
    heartbeat_interval: heartbeatInterval,
  })
  const path = await missionPath(session, mission)
  const answer = await session.progress('Spawning the cell', session.post<SpawnedSeat>(`${path}/seats`, body))
  await session.print(answer, describeSpawned)
}
