import { type Command, Option } from 'commander'
import type { SpawnedSeat } from '../../contract/seat.ts'
import { checkpointId } from '../find-checkpoint.ts'
import { missionId, seatPath } from '../find-mission.ts'
import { without } from '../mission-options.ts'
import { commandLine, limit, pair } from '../parse.ts'
import { describeSpawned } from '../render/seats.ts'
import type { Session } from '../session.ts'
import { addVerb, type Run } from '../verb.ts'

interface ForkOptions {
  into?: string
  newMission?: string
  role?: string
  env?: Readonly<Record<string, string>>
  network?: string
  limit?: Readonly<Record<string, number>>
  resumeCommand?: readonly string[]
}

const WORDS = {
  usage: 'fork <mission> <agent> <checkpoint> <new-agent> [command...]',
  summary: 'seat another agent that begins as this checkpoint',
  examples: [
    'checkpoint fork mend builder latest second-try',
    'checkpoint fork mend builder 3f2a reviewer --new-mission review -- ./review',
  ],
  notes:
    'What is left out (role, command, environment, limits) is as in the seat that the checkpoint is of. That seat is not\n' +
    'touched. Another mission must begin from the same commit. The token that is printed is shown once.',
}

export function addForkVerb(parent: Command, run: Run): void {
  addVerb<ForkOptions>(parent, run, WORDS, fork, (verb) => {
    verb
      .addOption(
        new Option('--into <mission>', 'seat it in this mission (default: the same one)').conflicts('newMission'),
      )
      .option('--new-mission <name>', 'open a mission for it, on the same base and policies')
      .addOption(new Option('--role <role>', 'what the agent may do').choices(['lead', 'write', 'read', 'audit']))
      .option('--env <name=value>', 'variable of the agent; repeatable', pair)
      .addOption(new Option('--network <mode>', 'network of this seat').choices(['none', 'allowlist', 'host']))
      .option('--limit <name=value>', 'limit of this seat; repeatable', limit)
      .option('--resume-command <line>', 'how it goes on after a revival', commandLine)
  })
}

async function fork(
  session: Session,
  [mission = '', agent = '', text = '', agent_id, ...command]: readonly string[],
  { into, newMission, role, env, network, limit: limits, resumeCommand: resume_command }: ForkOptions,
): Promise<void> {
  const seat = await seatPath(session, mission, agent)
  const target = into === undefined ? undefined : await missionId(session, into)
  const body = without({
    agent_id,
    mission: newMission === undefined ? target : { mission_name: newMission },
    command: command.length > 0 ? command : undefined,
    role,
    env,
    network,
    limits,
    resume_command,
  })
  const path = `${seat}/checkpoints/${await checkpointId(session, seat, text)}/fork`
  await session.print(await session.progress('Forking', session.post<SpawnedSeat>(path, body)), describeSpawned)
}
