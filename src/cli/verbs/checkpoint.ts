import type { Command } from 'commander'
import type { Checkpoint, CheckpointVerification, PruneReport } from '../../contract/checkpoint.ts'
import { checkpointId } from '../find-checkpoint.ts'
import { seatPath } from '../find-mission.ts'
import { wholeNumber } from '../parse.ts'
import { describeCheckpoint } from '../render/checkpoints.ts'
import { count, duration, size } from '../render/human.ts'
import type { Session } from '../session.ts'
import { addVerb, type Run } from '../verb.ts'
import { addForkVerb } from './fork.ts'

const SURVIVES =
  'A checkpoint holds what the agent changed in /workspace, and /home/agent whole. Nothing else survives a revival or a\n' +
  'restore: no process, nothing in /tmp, and at level 3 nothing that was installed outside of the two, as the container\n' +
  'is made anew from its image. Put tools into the image (mission create --image), or below /home/agent.'
const TAKE = {
  usage: 'take <mission> <agent>',
  summary: 'take a checkpoint; "take" may be left out',
  examples: ['checkpoint mend builder', 'checkpoint mend builder --reason "before the big merge"'],
  notes: SURVIVES,
}
const VERIFY = {
  usage: 'verify <mission> <agent> [checkpoint]',
  summary: 'read a checkpoint again whole, and compare (default: the newest)',
  examples: ['checkpoint verify mend builder', 'checkpoint verify mend builder 3f2a'],
  notes: 'Exit code 4 when a single bit differs.',
}
const REMOVE = {
  usage: 'rm <mission> <agent> <checkpoint>',
  summary: 'delete one checkpoint',
  examples: ['checkpoint rm mend builder 3f2a'],
}
const PRUNE = {
  usage: 'prune <mission> <agent>',
  summary: 'delete the oldest, beyond the retention or --keep; the newest stays',
  examples: ['checkpoint prune mend builder', 'checkpoint prune mend builder --keep 3'],
}

export function addCheckpointVerb(program: Command, run: Run): void {
  const checkpoint = program
    .command('checkpoint')
    .helpCommand(false)
    .showHelpAfterError('see: lazarus checkpoint --help')
    .usage('<mission> <agent> [--reason <words>]\n       lazarus checkpoint verify|rm|prune|fork …')
    .description('take a checkpoint of a seat; verify, delete and fork checkpoints')
    .argument('<mission>') // Of the verb that may be left out: completion goes by them.
    .argument('<agent>')
    .addHelpText(
      'after',
      `\n${SURVIVES}\n\nExamples:\n  lazarus checkpoint mend builder\n  lazarus checkpoints mend builder`,
    )
  addTake(checkpoint, run)
  addVerb(checkpoint, run, VERIFY, verify)
  addVerb(checkpoint, run, REMOVE, remove)
  addVerb<{ keep?: number }>(checkpoint, run, PRUNE, prune, (verb) =>
    verb.option('--keep <n>', 'so many of the newest stay (default: the retention of the pit)', wholeNumber),
  )
  addForkVerb(checkpoint, run)
}

function addTake(parent: Command, run: Run): void {
  addVerb<{ reason?: string }>(
    parent,
    run,
    TAKE,
    async (session, [mission = '', agent = ''], { reason }) => {
      const work = session.post<Checkpoint>(`${await seatPath(session, mission, agent)}/checkpoints`, { reason })
      await session.print(await session.progress('Taking the checkpoint', work), describeCheckpoint)
    },
    (verb) => verb.option('--reason <words>', 'why, for the list of checkpoints'),
    { isDefault: true },
  )
}

async function verify(session: Session, [mission = '', agent = '', text = 'latest']: readonly string[]): Promise<void> {
  const seat = await seatPath(session, mission, agent)
  const path = `${seat}/checkpoints/${await checkpointId(session, seat, text)}/verify`
  const answer = await session.progress('Reading it again', session.post<CheckpointVerification>(path))
  await session.print(
    answer,
    ({ checkpoint_id, bytes, entries, took_ms }) =>
      `${checkpoint_id} is sound: ${count(entries, 'entry', 'entries')}, ${size(bytes)} read again in ${duration(took_ms)}\n`,
  )
}

async function remove(session: Session, [mission = '', agent = '', text = '']: readonly string[]): Promise<void> {
  const seat = await seatPath(session, mission, agent)
  const answer = await session.delete<Checkpoint>(`${seat}/checkpoints/${await checkpointId(session, seat, text)}`)
  await session.print(answer, ({ checkpoint_id, bytes }) => `deleted ${checkpoint_id} (${size(bytes)})\n`)
}

async function prune(
  session: Session,
  [mission = '', agent = '']: readonly string[],
  { keep }: { keep?: number },
): Promise<void> {
  const path = `${await seatPath(session, mission, agent)}/checkpoints/prune`
  const answer = await session.progress('Pruning', session.post<PruneReport>(path, { keep }))
  await session.print(answer, ({ pruned, kept, freed_bytes }) =>
    [
      ...pruned.map((id) => `deleted ${id}`),
      `${count(pruned.length, 'checkpoint')} deleted, ${kept} kept, ${size(freed_bytes)} freed`,
      '',
    ].join('\n'),
  )
}
