import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PACE } from './pace.ts'
import { type Answer, PitProcess } from './pit-process.ts'
import { ROOT } from './source-tree.ts'

/** A pit that dies where it is told to, and its next life. Its tests own the directory of its faults. */
export class Mortal implements AsyncDisposable {
  readonly pit: PitProcess
  readonly #faults: string

  private constructor(pit: PitProcess, faults: string) {
    this.pit = pit
    this.#faults = faults
  }

  /** `before` becomes the pit, as PitProcess says. */
  static async start(config: object = {}, before: readonly string[] = []): Promise<Mortal> {
    const environment: Record<string, string> = {}
    const entry = [process.execPath, join(ROOT, 'test/support/mortal-pit.ts')]
    const pit = await PitProcess.create(environment, [...before, ...entry])
    await pit.configure(config)
    environment.LAZARUS_TEST_FAULTS = pit.stateDir
    const mortal = new Mortal(pit, pit.stateDir)
    await pit.start()
    return mortal
  }

  /** Where the pit is to die; a later one replaces it. */
  async arm(point: string | null): Promise<void> {
    const file = join(this.#faults, 'dies-at')
    if (point === null) await rm(file, { force: true })
    else await writeFile(file, point)
  }

  /** Steps passed while `work` ran. */
  async steps(work: () => Promise<unknown>): Promise<readonly string[]> {
    const file = join(this.#faults, 'steps')
    await rm(file, { force: true })
    await work()
    return (await readFile(file, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '')
  }

  /** As the pit sees the disk: it may have mounts of its own. */
  get root(): string {
    return `/proc/${this.pit.pid}/root`
  }

  async isDead(): Promise<boolean> {
    const state = await readFile(`/proc/${this.pit.pid}/stat`, 'utf8').catch(() => ') Z')
    return /\) [ZX]/.test(state)
  }

  /** Dead by its own hand; by ours, where it did not come to that step again. */
  async died(): Promise<void> {
    await until(() => this.isDead(), 'the pit did not die', 1).catch(() => {})
    await this.pit.stop('SIGKILL')
  }

  /** Lives again until it has recovered, or dies in the attempt; tells which. */
  async live(): Promise<boolean> {
    const isUp = await this.pit.start().then(
      () => true,
      () => false,
    )
    if (!isUp) return false
    const recovered = async () => (await this.pit.call('GET', '/v1/status').catch(() => null))?.body.recovered === true
    const isOver = async () => (await this.isDead()) || (await recovered())
    await until(isOver, 'the pit did not recover', 60).catch(async (error) => {
      const [status, missions] = await Promise.all([this.#tell('/v1/status'), this.#tell('/v1/missions')])
      throw new Error(`${error.message}: ${status}\n${missions}\n${await this.log()}`, { cause: error })
    })
    return !(await this.isDead())
  }

  async #tell(path: string): Promise<string> {
    return this.pit.call('GET', path).then(
      ({ body }) => JSON.stringify(body),
      (error: Error) => String(error.cause ?? error),
    )
  }

  async events(mission_id: string, since = 0): Promise<readonly Answer['body'][]> {
    const all: Answer['body'][] = []
    for (;;) {
      const after = all.at(-1)?.seq ?? since
      const { body } = await this.pit.call('GET', `/v1/events?mission_id=${mission_id}&after=${after}&limit=1000`)
      all.push(...body.events)
      if (body.events.length < 1000) return all
    }
  }

  /** Whatever is left on the disk once every mission is destroyed. */
  left(): string {
    const places = ['missions', 'sandboxes', 'doors', 'vault'].map((name) => join(this.pit.stateDir, name))
    const args = [...places.filter((place) => existsSync(place)), '-mindepth', '1', '-type', 'f,d,s']
    return execFileSync('find', args, { encoding: 'utf8' })
  }

  /** What the pit wrote of itself, for a failure that must be understood. */
  log(): Promise<string> {
    return readFile(join(this.#faults, 'log'), 'utf8').catch(() => '')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.arm(null)
    await this.pit[Symbol.asyncDispose]()
  }
}

/** Waits on a state of the host, which no stream tells. */
export async function until(holds: () => Promise<boolean> | boolean, otherwise: string, seconds = 20): Promise<void> {
  const deadline = performance.now() + seconds * 1000 * PACE
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`${otherwise} within ${seconds} s`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Shells that run a script with this word in it: the agents themselves, not what was started to start them. */
export async function shellsWith(word: string): Promise<readonly number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => {
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      return command.startsWith('sh\0-c\0') && command.includes(word) ? Number(pid) : null
    }),
  )
  return found.filter((pid) => pid !== null)
}
