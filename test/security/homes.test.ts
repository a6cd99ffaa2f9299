import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Attack, attackCommand, controlOutcomes, type Outcomes, outcomesOf } from './attack.ts'
import { NODES, READING, WRITING } from './homes-attacks.ts'
import { LEVELS, type Mission, manifest, type SeatOnStage, Stage } from './stage.ts'

const ALL = [...READING, ...WRITING, NODES]
const NAMES = ALL.map(({ name }) => name)
const INSIDE = {
  PLACES: '/workspace /home/agent /artifacts /tmp',
  READONLY: '/mission /run/lazarus /usr /',
  SCRATCH: '/tmp',
}
/** Everything that Eve says on purpose: whoever looks for the canary must be able to find this. */
const SIGNATURE = 'signature-of-eve'

let stage: Stage
let controls: Outcomes
let unprotected: string
let before: string[]
const careless: ChildProcess[] = []
let outsider = ''

/** Stands in a home with its secret open, and another one has a mount namespace of its own. */
async function beCareless(home: string): Promise<void> {
  const stay = 'exec 9<secret; echo up; exec sleep infinity'
  const own = ['--user', '--map-root-user', '--mount', 'sh', '-c', 'echo up; exec sleep infinity']
  const [one, two] = [spawn('sh', ['-c', stay], { cwd: home }), spawn('unshare', own, { cwd: '/' })]
  careless.push(one, two)
  await Promise.all([once(one.stdout, 'data'), once(two.stdout, 'data')])
  outsider = String(two.pid)
}

beforeAll(async () => {
  stage = await Stage.open()
  unprotected = join(stage.pit.stateDir, '..', 'unprotected', 'home')
  stage.furnish(unprotected, 'canary-of-the-control')
  await beCareless(unprotected)
  await beCareless(stage.home)
  controls = await controlOutcomes(ALL, { TARGET: unprotected, OUTSIDER: outsider })
  before = manifest(stage.pit.homesDir)
})
afterAll(async () => {
  for (const child of careless) child.kill('SIGKILL')
  await stage?.[Symbol.asyncDispose]()
})

describe('outside of a cell (positive control)', () => {
  it.each(NAMES)('%s succeeds', (name) => {
    expect(controls.get(name)).toBe('open')
  })
})

describe.each(LEVELS)('homes from a cell of %s', (level) => {
  let mission: Mission
  let eve: SeatOnStage
  let outcomes: Outcomes
  beforeAll(async () => {
    mission = await stage.mission(level)
    eve = await mission.seat('eve')
    outcomes = await attack(stage.home)
  })

  async function attack(target: string, attacks: readonly Attack[] = ALL): Promise<Outcomes> {
    const { stdout } = await eve.run(attackCommand(attacks), { env: { ...INSIDE, TARGET: target, OUTSIDER: outsider } })
    return outcomesOf(stdout)
  }

  it('has what the attacks need', async () => {
    const tools = 'perl unshare nsenter mount umount timeout find ln grep'
    expect(await eve.sh(`for t in ${tools}; do command -v $t >/dev/null || echo "$t is missing"; done`)).toMatchObject({
      stdout: '',
    })
  })

  it.each(NAMES)('%s fails', (name) => {
    expect(outcomes.get(name)).toBe('shut')
  })

  it('the agent itself gets no further than its execs', async () => {
    const env = { ...INSIDE, TARGET: stage.home, OUTSIDER: outsider }
    const mallory = await mission.seat('mallory', { command: attackCommand(ALL), env })
    await stage.pit.until(mallory.path, (seat) => seat.status === 'dead', 60)
    const agents = outcomesOf(await mallory.log())
    expect([...agents.keys()]).toEqual(NAMES)
    expect([...agents].filter(([, outcome]) => outcome !== 'shut')).toEqual([])
  })

  it('the directories of the pit and of other seats are no more reachable', async () => {
    const victim = await stage.mission(level)
    const bob = await victim.seat('bob')
    await bob.sh('echo canary-of-bob | tee /workspace/secret /home/agent/secret >/artifacts/secret')
    const places = [
      stage.pit.stateDir,
      join(stage.pit.stateDir, 'vault'),
      join(stage.pit.stateDir, 'missions'),
      victim.directory,
    ]
    for (const place of places) {
      mkdirSync(place, { recursive: true })
      writeFileSync(join(place, 'secret'), 'canary-of-the-pit\n')
    }
    const layer = join(victim.directory, 'worktree', 'bob')
    for (const target of [
      ...places,
      join(layer, 'upper'),
      join(layer, 'home'),
      join(victim.directory, 'artifacts', 'bob'),
    ]) {
      const control = await controlOutcomes(READING.slice(0, 2), { TARGET: target })
      expect([...control.values()], `positive control: ${target}`).toEqual(['open', 'open'])
      const open = [...(await attack(target, READING))].filter(([, outcome]) => outcome !== 'shut')
      expect(open, target).toEqual([])
    }
    await victim.destroy()
  })

  it('leaves homes as they were, by our manifest and by the proof of the pit', async () => {
    await eve.sh('git add -A; git commit -qm "$1"; echo "$1" >/workspace/left; echo "$1"', SIGNATURE)
    const collected = await stage.call('POST', `${eve.path}/collect`)
    expect(collected.body.outcome).toBe('delivered')
    for (const of of ['diff', 'logs']) await stage.call('GET', `${eve.path}/${of}`)
    await stage.call('GET', `/v1/events?mission_id=${mission.id}`)
    expect(await mission.destroy()).toMatchObject({ status: 'destroyed', homes: { checked: 2, changed: [] } })
    expect(manifest(stage.pit.homesDir)).toEqual(before)
  })

  it('nothing that was answered or kept holds the secret', () => {
    const answered = stage.replies.join('\n')
    expect(answered.includes(SIGNATURE), 'positive control').toBe(true)
    const kept = stage.keptIn(SIGNATURE)
    expect(kept, 'positive control: refs').toContain('objects')
    expect(
      kept.filter((path) => path.endsWith('.zst')),
      'positive control: archives',
    ).not.toEqual([])
    expect(answered.includes(stage.canary)).toBe(false)
    expect(stage.keptIn(stage.canary)).toEqual([])
  })
})

it('a manifest tells every change that an attack makes (positive control)', () => {
  const control = manifest(unprotected).join('\n')
  for (const path of ['planted', 'planted-too']) expect(control).toContain(`/home/${path}`)
  expect(control).not.toContain('project')
})
