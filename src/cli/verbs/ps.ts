import type { Command } from 'commander'
import type { Mission } from '../../contract/mission.ts'
import type { Seat } from '../../contract/seat.ts'
import { listMissions } from '../find-mission.ts'
import { waitingFor } from '../find-revival.ts'
import { ago } from '../render/human.ts'
import { fromColumn, seatNote, type Waiting } from '../render/seats.ts'
import { table } from '../render/table.ts'
import type { Session } from '../session.ts'
import { addVerb, type Run } from '../verb.ts'

export function addPsVerb(program: Command, run: Run): void {
  const words = {
    usage: 'ps',
    summary: 'every seat of every mission',
    examples: ['ps', 'ps --json | jq ".missions[].seats[]"'],
  }
  addVerb(program, run, words, async (session) => {
    if (session.json) return session.print(await session.get('/v1/missions'), String)
    const rows = (await listMissions(session, { all: false })).flatMap((mission) =>
      mission.seats.map((seat) => ({ mission, seat })),
    )
    await session.write(
      rows.length === 0
        ? 'No seats. Add one with: lazarus seat add <mission> <agent>\n'
        : render(
            session,
            rows,
            await waitingFor(
              session,
              rows.map(({ seat }) => seat),
            ),
          ),
    )
  })
}

interface Row {
  readonly mission: Mission
  readonly seat: Seat
}

function render({ io, colours: { status } }: Session, rows: readonly Row[], waiting: Waiting): string {
  const now = io.now()
  return table<Row>(
    [
      { title: 'MISSION', value: ({ mission }) => `${mission.mission_id.slice(0, 8)} ${mission.mission_name}` },
      { title: 'AGENT', value: ({ seat }) => seat.agent_id },
      { title: 'ROLE', value: ({ seat }) => seat.role },
      { title: 'LEVEL', value: ({ seat }) => seat.isolation.level },
      { title: 'STATUS', value: ({ seat }) => seat.status, paint: (cell, value) => cell.replace(value, status(value)) },
      { title: 'GEN', value: ({ seat }) => seat.generation, align: 'right' },
      { title: 'FROM', value: ({ seat }) => fromColumn(seat) },
      { title: 'SINCE', value: ({ seat }) => ago(seat.spawned_at, now) },
      { title: 'WORK', value: ({ seat }) => seat.collected?.outcome ?? null },
      { title: 'NOTE', value: ({ seat }) => seatNote(seat, waiting, now) },
    ],
    rows,
  )
}
