import type { Command } from 'commander'
import { listMissions } from '../find-mission.ts'
import { count, duration } from '../render/human.ts'
import { addVerb, type Run } from '../verb.ts'

export function addStatusVerb(program: Command, run: Run): void {
  addVerb(
    program,
    run,
    { usage: 'status', summary: 'whether a pit is running, and what it holds', examples: ['status', 'status --json'] },
    async (session) => {
      const asked = performance.now()
      const answer = await session.get<{ status: string }>('/healthz')
      const took = performance.now() - asked
      if (session.json) return session.print(answer, String)
      const missions = await listMissions(session, { all: false })
      const seats = missions.flatMap((mission) => mission.seats).filter((seat) => seat.status === 'active')
      const holds = `${count(missions.length, 'mission')}, ${count(seats.length, 'active seat')}`
      await session.write(`The pit is running (answered in ${duration(took)}): ${holds}.\n`)
    },
  )
}
