import type { Command } from 'commander'
import type { ExecRequest, ExecResult } from '../../contract/seat.ts'
import { execStreamed, exitOf, readStdin } from '../exec-stream.ts'
import { seatPath } from '../find-mission.ts'
import { without } from '../mission-options.ts'
import { pair, seconds } from '../parse.ts'
import type { Session } from '../session.ts'
import { addVerb, type Run } from '../verb.ts'

interface ExecOptions {
  interactive?: true
  cwd?: string
  env?: Readonly<Record<string, string>>
  timeout?: number
}

const WORDS = {
  usage: 'exec <mission> <agent> <command...>',
  summary: 'run a command in the sandbox of a seat; its exit code becomes ours',
  examples: [
    'exec mend builder -- git status',
    'exec mend builder --cwd /artifacts --timeout 5m -- make report',
    'exec -i mend builder -- sh < script.sh',
  ],
  notes: 'Put -- before a command that has options of its own.',
}

export function addExecVerb(program: Command, run: Run): void {
  addVerb<ExecOptions>(program, run, WORDS, exec, (verb) =>
    verb
      .option('-i, --interactive', 'give it our stdin, read to its end')
      .option('--cwd <path>', 'working directory in the cell (default: /workspace)')
      .option('--env <name=value>', 'variable for the command; repeatable', pair)
      .option('--timeout <duration>', 'kill it after so long: 90s, 30m, 2h (default: 10m)', seconds),
  )
}

async function exec(
  session: Session,
  [mission = '', agent = '', ...command]: readonly string[],
  options: ExecOptions,
): Promise<number> {
  const { cwd, env, timeout } = options
  const stdin = options.interactive ? await readStdin(session) : undefined
  const body = without({ command, cwd, env, timeout, stdin }) as ExecRequest
  const path = await seatPath(session, mission, agent)
  if (!session.json) return exitOf(session, await execStreamed(session, path, body))
  const answer = await session.post<ExecResult>(`${path}/exec`, body)
  await session.print(answer, String)
  return exitOf(session, answer.value)
}
