import type { Command } from 'commander'
import type { Mission } from '../../contract/mission.ts'
import { listMissions, missionPath } from '../find-mission.ts'
import { waitingFor } from '../find-revival.ts'
import { sourceOf } from '../hand-over.ts'
import {
  addLifeOptions,
  addMissionOptions,
  addRevivalOptions,
  type MissionOptions,
  missionFields,
  policyFields,
  type RevivalOptions,
  without,
} from '../mission-options.ts'
import { describeMission, missionTable } from '../render/missions.ts'
import type { Session } from '../session.ts'
import { addVerb, type Run } from '../verb.ts'

interface CreateOptions extends MissionOptions, RevivalOptions {
  maxAgents?: number
  timeout?: number
}

const CREATE = {
  usage: 'create <name>',
  summary: 'open a mission; a local checkout is handed over as a copy of its HEAD',
  examples: [
    'mission create mend --repo . --level 2',
    'mission create mend --repo https://example.org/app.git --ref v1.2',
    'mission create lab --level 3 --limit memory=1G',
    'mission create fleet --auto-revive ask --max-retries 5 --substitute second,third --hung-after 10m',
  ],
  notes: 'By default agents that die come back at once, with their work; docs/checkpoints-and-revival.md tells how.',
}

export function addMissionVerbs(program: Command, run: Run): void {
  const mission = program.command('mission').helpCommand(false).description('open, look at, pause and end missions')
  addVerb<CreateOptions>(mission, run, CREATE, create, (verb) => {
    verb.option('--repo <path|url>', 'repository to work on; without it the worktree starts empty')
    for (const add of [addMissionOptions, addLifeOptions, addRevivalOptions]) add(verb)
  })
  addListVerb(mission, run)
  const inspect = {
    usage: 'inspect <mission>',
    summary: 'one mission with its seats',
    examples: ['mission inspect mend', 'mission inspect 3f2a --json'],
  }
  addVerb(mission, run, inspect, async (session, [name = '']) => {
    const answer = await session.get<Mission>(await missionPath(session, name))
    const waiting = session.json ? new Map() : await waitingFor(session, answer.value.seats)
    await session.print(answer, (value) => describeMission(session, value, waiting))
  })
  for (const [verb, summary] of STEPS) {
    const words = { usage: `${verb} <mission>`, summary, examples: [`mission ${verb} mend`] }
    addVerb(mission, run, words, async (session, [name = '']) => {
      const work = session.post<Mission>(`${await missionPath(session, name)}/${verb}`)
      const answer = await session.progress(`mission ${verb}`, work)
      await session.print(answer, (value) => `${value.mission_id} ${value.mission_name}: ${value.status}\n`)
    })
  }
}

const STEPS = [
  ['pause', 'freeze every seat'],
  ['resume', 'go on after a pause'],
  ['complete', 'declare the mission done'],
  ['archive', 'collect, write the portable record, release every sandbox'],
] as const

async function create(session: Session, [name]: readonly string[], options: CreateOptions): Promise<void> {
  const source = await sourceOf(session, options.repo, options.ref)
  const { maxAgents: max_agents, timeout } = options
  const body = without({
    mission_name: name,
    ...source,
    ...missionFields(options),
    max_agents,
    timeout,
    policies: policyFields(options),
  })
  const answer = await session.progress('Opening the mission', session.post<Mission>('/v1/missions', body))
  await session.print(answer, ({ mission_id, isolation_level, base }) => {
    const from = base.commit === null ? 'an empty worktree' : `commit ${base.commit.slice(0, 10)}`
    return `${mission_id}\n${isolation_level}, from ${from}. Next: lazarus seat add ${mission_id.slice(0, 8)} <agent>\n`
  })
}

function addListVerb(mission: Command, run: Run): void {
  const words = {
    usage: 'ls',
    summary: 'list the missions that are not over',
    examples: ['mission ls', 'mission ls --all --json'],
  }
  addVerb<{ all?: true; names?: true }>(
    mission,
    run,
    words,
    async (session, _args, { all, names }) => {
      if (session.json) return session.print(await session.get('/v1/missions', { query: { all, limit: 1000 } }), String)
      const missions = await listMissions(session, { all: all ?? false })
      if (names) return session.write(missions.map((one) => `${one.mission_name}\n`).join(''))
      await session.write(
        missions.length === 0
          ? 'No missions. Open one with: lazarus mission create <name>\n'
          : missionTable(session, missions),
      )
    },
    (verb) => verb.option('-a, --all', 'also archived and destroyed ones').option('--names', 'print names alone'),
  )
}
