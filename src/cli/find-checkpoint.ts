import type { Checkpoint } from '../contract/checkpoint.ts'
import { LazarusError } from '../kernel/errors.ts'
import { allPages } from './pages.ts'
import { ago } from './render/human.ts'
import type { Session } from './session.ts'

const WHOLE_ID = /^ckpt_[0-9a-f]{24}$/

/** Every checkpoint of a seat, oldest first. */
export const listCheckpoints = (session: Session, seat: string): Promise<readonly Checkpoint[]> =>
  allPages<Checkpoint>(session, `${seat}/checkpoints`, 'checkpoints')

/** The id that a user means by an id, an unambiguous prefix of one (with or without "ckpt_"), or "latest". */
export async function checkpointId(session: Session, seat: string, text: string): Promise<string> {
  if (WHOLE_ID.test(text)) return text
  const all = await listCheckpoints(session, seat)
  const found = text === 'latest' ? all.slice(-1) : all.filter((one) => hasPrefix(one, text.toLowerCase()))
  if (found.length === 1) return found[0]!.checkpoint_id
  const [mission, agent] = [seat.split('/')[3]!.slice(0, 8), decodeURIComponent(seat.split('/').at(-1)!)]
  if (found.length === 0) {
    const message =
      all.length === 0
        ? `Seat "${agent}" of mission ${mission} has no checkpoint`
        : `No checkpoint of seat "${agent}" in mission ${mission} has the id ${JSON.stringify(text)}`
    const verb = all.length === 0 ? 'Take one with: lazarus checkpoint' : 'List them with: lazarus checkpoints'
    throw new LazarusError('checkpoint_not_found', message, { remedy: `${verb} ${mission} ${agent}` })
  }
  const shown = found.slice(-10).map((one) => `${one.checkpoint_id} (${ago(one.created_at, session.io.now())})`)
  throw new LazarusError(
    'invalid_request',
    `${JSON.stringify(text)} may mean ${found.length} checkpoints: ${shown.join(', ')}`,
    { remedy: 'Write more of the id, or "latest".' },
  )
}

const hasPrefix = ({ checkpoint_id }: Checkpoint, text: string): boolean =>
  text !== '' && (checkpoint_id.startsWith(text) || checkpoint_id.startsWith(`ckpt_${text}`))
