import type { Revival } from '../contract/revival.ts'
import type { Seat } from '../contract/seat.ts'
import { LazarusError } from '../kernel/errors.ts'
import { ApiError } from './client.ts'
import { allPages } from './pages.ts'
import { seatKey, type Waiting } from './render/seats.ts'
import type { Session } from './session.ts'

export const listRevivals = (session: Session): Promise<readonly Revival[]> =>
  allPages<Revival>(session, '/v1/revivals', 'revivals')

/** The id that a user means by an id or the beginning of one, with or without "rev_". */
export async function revivalId(session: Session, text: string): Promise<string> {
  const all = await listRevivals(session)
  const found = all
    .map(({ revival_id }) => revival_id)
    .filter((id) => text !== '' && (id.startsWith(text) || id.startsWith(`rev_${text}`)))
  const exact = found.find((id) => id === text)
  if (exact !== undefined || found.length === 1) return exact ?? found[0]!
  if (found.length === 0) throw new LazarusError('revival_not_found', `No revival ${JSON.stringify(text)} is waiting`)
  throw new LazarusError(
    'invalid_request',
    `${JSON.stringify(text)} may mean ${found.length} revivals: ${found.slice(0, 10).join(', ')}`,
    { remedy: 'Write more of the id.' },
  )
}

const MAY_WAIT: ReadonlySet<Seat['status']> = new Set(['dead', 'awaiting_approval', 'reviving'])

/** What is to follow on these seats. Who sits in a cell may not ask for the queue, and does without. */
export async function waitingFor(session: Session, seats: readonly Seat[]): Promise<Waiting> {
  if (!seats.some(({ status }) => MAY_WAIT.has(status))) return new Map()
  try {
    return new Map((await listRevivals(session)).map((revival) => [seatKey(revival), revival]))
  } catch (error) {
    if (error instanceof ApiError && error.code === 'forbidden') return new Map()
    throw error
  }
}
