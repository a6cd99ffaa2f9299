import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Mortal, until } from '../support/mortal.ts'
import { MortalCell } from '../support/mortal-cell.ts'
import { makeRepository } from '../support/repository.ts'

/**
 * Agents work and die, checkpoints are taken, restored and collected, and the pit is killed at random moments: in the
 * end every acknowledged word is accounted for. LAZARUS_TEST_SOAK_SECONDS makes it longer, LAZARUS_TEST_SEED repeats it.
 */
const SECONDS = Number(process.env.LAZARUS_TEST_SOAK_SECONDS ?? (process.env.CI ? 60 : 20))
const SEED = Number(process.env.LAZARUS_TEST_SEED ?? Date.now() % 1_000_000)

let repository: Awaited<ReturnType<typeof makeRepository>>
beforeAll(async () => {
  repository = await makeRepository()
})
afterAll(() => repository[Symbol.asyncDispose]())

/** Numbers that a seed repeats (mulberry32). */
function dice(seed: number): (sides: number) => number {
  let state = seed
  return (sides) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % sides
  }
}

/** One seat, and all that was acknowledged about it; one verb at a time, each of which may find the pit dead. */
class Worker {
  readonly cell: MortalCell
  readonly #throw: (sides: number) => number
  readonly collected = new Set<string>()
  repository = ''
  #seen = 0
  #line = 0

  constructor(cell: MortalCell, seed: number) {
    this.cell = cell
    this.#throw = dice(seed)
  }

  async step(): Promise<void> {
    const verbs = [this.#work, this.#work, this.#checkpoint, this.#restore, this.#die, this.#collect]
    await verbs[this.#throw(verbs.length)]!.call(this)
    await this.settle()
  }

  /** Waits until the seat lives under a living pit, then learns what became of the verb. */
  async settle(): Promise<void> {
    const { mortal, path } = this.cell
    const lives = async () => (await this.cell.ask('GET', path))?.body.status === 'active'
    await until(lives, `${path} does not come back`, 120)
    const answer = await mortal.events(this.cell.mission_id, this.#seen).catch(() => null)
    if (answer === null) return this.settle()
    for (const { seq, agent_id, type, data } of answer) {
      this.#seen = seq
      if (agent_id !== this.cell.agent_id) continue
      if (type === 'checkpoint_taken') this.cell.saved.set(data.checkpoint.checkpoint_id, this.cell.lines)
      if (type === 'restored') this.cell.lines = this.cell.saved.get(data.checkpoint_id)!
    }
  }

  /** What is not answered may have been done, or not: the file tells. */
  async #work(): Promise<void> {
    this.#line += 1
    const line = `line-${this.#line}`
    const command = ['sh', '-c', `echo ${line} >>/workspace/work`]
    const answer = await this.cell.ask('POST', `${this.cell.path}/exec`, { command })
    if (answer?.body.exit_code === 0) this.cell.lines = [...this.cell.lines, line]
    else if (answer === null || answer.body.exit_code === null) await this.#lookFor(line)
  }

  async #lookFor(line: string): Promise<void> {
    for (;;) {
      const command = ['sh', '-c', 'cat /workspace/work || :']
      const answer = await this.cell.ask('POST', `${this.cell.path}/exec`, { command })
      if (answer?.body.exit_code !== 0) continue
      if (answer.body.stdout.includes(`${line}\n`)) this.cell.lines = [...this.cell.lines, line]
      return
    }
  }

  async #checkpoint(): Promise<void> {
    await this.cell.ask('POST', `${this.cell.path}/checkpoints`)
  }

  async #restore(): Promise<void> {
    const listed = await this.cell.checkpoints().catch(() => [])
    const checkpoint_id = listed[this.#throw(Math.max(listed.length, 1))]
    if (checkpoint_id) await this.cell.ask('POST', `${this.cell.path}/restore`, { checkpoint_id })
  }

  async #die(): Promise<void> {
    const before = (await this.cell.ask('GET', this.cell.path))?.body.generation
    await this.cell.kill()
    if (before === undefined) return
    // Only when it did not come to the kill is the generation as it was.
    const isNext = async () => ((await this.cell.ask('GET', this.cell.path))?.body.generation ?? 0) > before
    await until(isNext, 'nobody took its place', 2).catch(() => {})
  }

  async #collect(): Promise<void> {
    const command = ['sh', '-c', 'git add -A && git commit -qm work || :']
    await this.cell.ask('POST', `${this.cell.path}/exec`, { command })
    const answer = await this.cell.ask('POST', `${this.cell.path}/collect`)
    if (answer?.status !== 200 || answer.body.head === null) return
    this.collected.add(answer.body.head)
    this.repository = answer.body.repository
  }

  async requireSound(): Promise<void> {
    await this.settle()
    await this.cell.requireSound()
    for (const head of this.collected) execFileSync('git', ['-C', this.repository, 'cat-file', '-e', head])
  }
}

/** Kills the pit at random moments until it is told to stop; sometimes while it recovers. */
async function kills(mortal: Mortal, seed: number, isOver: () => boolean): Promise<number> {
  const roll = dice(seed)
  let deaths = 0
  while (!isOver()) {
    await new Promise((resolve) => setTimeout(resolve, 200 + roll(1500)))
    await mortal.pit.stop('SIGKILL')
    deaths += 1
    await mortal.arm(roll(3) === 0 ? `*#${roll(12)}` : null)
    const isUp = await mortal.live()
    await mortal.arm(null)
    if (isUp && (await mortal.pit.call('GET', '/healthz').catch(() => null))) continue
    await mortal.pit.stop('SIGKILL')
    deaths += 1
    expect(await mortal.live()).toBe(true)
  }
  return deaths
}

test(
  `level_2: ${SECONDS} s of work under a pit that dies, seed ${SEED}`,
  async () => {
    await using mortal = await Mortal.start({ retention: { checkpoints: 4 } })
    const workers: Worker[] = []
    for (let i = 0; i < 3; i += 1) {
      const cell = await new MortalCell(mortal, 'level_2').open({}, repository.path)
      workers.push(new Worker(cell, SEED + i))
    }
    const end = performance.now() + SECONDS * 1000
    const isOver = () => performance.now() > end
    let steps = 0
    const works = workers.map(async (worker) => {
      for (; !isOver(); steps += 1) await worker.step()
    })
    const deaths = kills(mortal, SEED, isOver)
    await Promise.all([...works, deaths]).catch(async (error) => {
      throw new Error(`seed ${SEED}: ${error.message}\n${(await mortal.log()).slice(-3000)}`, { cause: error })
    })
    for (const worker of workers) await worker.requireSound()
    console.log(`seed ${SEED}: ${steps} verbs, the pit died ${await deaths} times`)
    for (const { cell } of workers) await cell.destroy()
    expect(mortal.left()).toBe('')
  },
  (SECONDS + 240) * 1000,
)
