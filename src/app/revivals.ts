import type { Incident, Revival } from '../contract/revival.ts'
import type { Seat } from '../contract/seat.ts'
import { INCIDENT_EVENTS, incidentsOf } from '../domain/incidents.ts'
import { seatOf } from '../domain/mission.ts'
import { approveRevival, declineRevival, seatOfRevival, waiting } from '../domain/revival.ts'
import { seatView } from '../domain/views.ts'
import type { Context } from './context.ts'

export const listRevivals = (ctx: Context): readonly Revival[] =>
  ctx.book
    .withRevivals()
    .flatMap((state) =>
      waiting(state).map(({ agent_id, revival }) => ({ ...revival!, mission_id: state.mission_id, agent_id })),
    )
    .toSorted((a, b) => a.queued_at.localeCompare(b.queued_at))

export async function answerRevival(
  ctx: Context,
  revival_id: string,
  answer: 'approve' | 'decline',
  by: string,
): Promise<Seat> {
  const [{ mission_id }, { agent_id }] = seatOfRevival(ctx.book.withRevivals(), revival_id)
  const decide = answer === 'approve' ? approveRevival : declineRevival
  const after = await ctx.book.commit(mission_id, (now) => decide(now, agent_id, revival_id, by))
  return seatView(after, seatOf(after, agent_id))
}

export const listIncidents = ({ ledger }: Context, mission_id: string | undefined): readonly Incident[] =>
  incidentsOf(ledger.read({ types: INCIDENT_EVENTS, ...(mission_id !== undefined && { mission_id }) }))
