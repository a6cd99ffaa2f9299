import { Command, CommanderError } from 'commander'
import { isLazarusError, LazarusError } from '../kernel/errors.ts'
import { ApiError, connectionLost } from './client.ts'
import { EXIT, exitCodeOf } from './exit-codes.ts'
import { inert } from './render/human.ts'
import { type CommonOptions, Session } from './session.ts'
import type { CliSettings, Io } from './settings.ts'
import type { Run } from './verb.ts'
import { addCellVerbs } from './verbs/cells.ts'
import { addCheckpointVerb } from './verbs/checkpoint.ts'
import { addCheckpointsVerb } from './verbs/checkpoints.ts'
import { addCollectVerb } from './verbs/collect.ts'
import { addCompletionVerb } from './verbs/completion.ts'
import { addDeadManVerb } from './verbs/dead-man.ts'
import { addDestroyVerb } from './verbs/destroy.ts'
import { addDiffVerb } from './verbs/diff.ts'
import { addDoctorVerb } from './verbs/doctor.ts'
import { addEventsVerb } from './verbs/events.ts'
import { addExecVerb } from './verbs/exec.ts'
import { addHealthVerb } from './verbs/health.ts'
import { addHomeVerbs } from './verbs/home.ts'
import { addIncidentsVerb } from './verbs/incidents.ts'
import { addKillVerb } from './verbs/kill.ts'
import { addLogsVerb } from './verbs/logs.ts'
import { addMissionVerbs } from './verbs/mission.ts'
import { addPsVerb } from './verbs/ps.ts'
import { addRestoreVerb } from './verbs/restore.ts'
import { addRevivalsVerb } from './verbs/revivals.ts'
import { addReviveVerb } from './verbs/revive.ts'
import { addRunVerb } from './verbs/run.ts'
import { addSeatVerbs } from './verbs/seat.ts'
import { addServeVerb } from './verbs/serve.ts'
import { addServiceVerbs } from './verbs/service.ts'
import { addStatusVerb } from './verbs/status.ts'
import { addVersionVerb } from './verbs/version.ts'
import { addWithdrawVerb } from './verbs/withdraw.ts'

const GROUPS: readonly (readonly [heading: string, add: readonly ((program: Command, run: Run) => void)[]])[] = [
  ['The main job:', [addRunVerb]],
  ['Missions:', [addMissionVerbs, addDestroyVerb]],
  [
    'Seats:',
    [addSeatVerbs, addExecVerb, addLogsVerb, addKillVerb, addDiffVerb, addCollectVerb, addWithdrawVerb, addPsVerb],
  ],
  [
    'What outlives an agent:',
    [addCheckpointVerb, addCheckpointsVerb, addRestoreVerb, addReviveVerb, addRevivalsVerb, addIncidentsVerb],
  ],
  ['Homes and cells:', [addHomeVerbs, addCellVerbs]],
  [
    'The pit:',
    [addServeVerb, addStatusVerb, addHealthVerb, addDoctorVerb, addEventsVerb, addServiceVerbs, addDeadManVerb],
  ],
  ['This program:', [addCompletionVerb, addVersionVerb]],
]

/** The whole tree of verbs. */
export function buildProgram(run: Run, version: string): Command {
  const program = new Command('lazarus')
    .description('Isolated mission cells: invite an agent in, collect its work, leave no trace on any home.')
    .helpOption('-h, --help', 'show this help')
    .version(version, '-V, --version', 'print the version')
    .addHelpCommand(
      new Command('help').argument('[verb]').description('show the help of a verb').helpGroup('This program:'),
    )
    .showSuggestionAfterError(true)
  for (const [heading, adders] of GROUPS) {
    program.commandsGroup(heading)
    for (const add of adders) add(program, run)
  }
  program.addHelpText(
    'after',
    '\nThe first thing to try, in any git checkout:\n  lazarus run -- sh -c "echo hello > hello.txt && git add . && git commit -m hello"',
  )
  return program
}

/** Runs one command line (without node and script). Resolves to the exit code; nothing is thrown. */
export async function runCli(argv: readonly string[], io: Io, settings: CliSettings): Promise<number> {
  let exit: number = EXIT.done
  let json = false
  const program = buildProgram(async (options: CommonOptions, action) => {
    json = options.json ?? false
    exit = (await action(new Session(io, settings, options))) ?? EXIT.done
  }, settings.version)
  prepare(program, io)
  try {
    await program.parseAsync(spelled(argv), { from: 'user' })
    return exit
  } catch (error) {
    if (error instanceof CommanderError) return usageExit(error)
    if (settings.interrupted.aborted) return EXIT.interrupted
    if (isBrokenPipe(error)) return EXIT.done
    return explain(error, io, json)
  }
}

/** The original's own spelling, without a verb. */
const spelled = (argv: readonly string[]): string[] =>
  argv[0] === '--create-config' || argv[0] === '--status' ? ['serve', ...argv] : [...argv]

/** Every command, the nested ones too: errors are thrown, words go to the given streams. */
function prepare(command: Command, io: Io): void {
  command.exitOverride()
  command.configureOutput({
    writeOut: (text) => void io.stdout.write(text),
    writeErr: (text) => void io.stderr.write(text),
    getOutHelpWidth: () => io.stdout.columns ?? 100,
    getErrHelpWidth: () => io.stderr.columns ?? 100,
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  })
  for (const child of command.commands) prepare(child, io)
}

const usageExit = (error: CommanderError): number => (error.exitCode === 0 ? EXIT.done : EXIT.usage)

/** The reader of a pipe has seen enough: `lazarus events | head`. */
const isBrokenPipe = (error: unknown): boolean => (error as NodeJS.ErrnoException | null)?.code === 'EPIPE'

function explain(error: unknown, io: Io, json: boolean): number {
  const known = error instanceof ApiError || isLazarusError(error) ? error : unexpected(error)
  const body = {
    error: {
      code: known.code,
      message: known.message,
      remedy: known.remedy,
      ...(known.details ? { details: known.details } : {}),
    },
  }
  io.stderr.write(
    json
      ? `${JSON.stringify(body)}\n`
      : `error: ${inert(known.message)} (${known.code})\nremedy: ${inert(known.remedy)}\n`,
  )
  return exitCodeOf(known.code)
}

function unexpected(error: unknown): LazarusError {
  if ((error as NodeJS.ErrnoException | null)?.code === 'ECONNRESET') return connectionLost(error)
  return new LazarusError('internal', error instanceof Error ? error.message : String(error), {
    cause: error,
    remedy: 'This is a defect of lazarus; please report it with the command line.',
  })
}
