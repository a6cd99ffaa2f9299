import type { Verification } from '../contract/home.ts'
import { LazarusError } from '../kernel/errors.ts'
import { differences, pathEnd, showBytes } from './entry.ts'
import { RecordCutter } from './records.ts'
import { requireSuccess, runTool } from './tool.ts'

/** Differences that are told; all are counted. */
export const MAX_TOLD = 10_000

type Comparison = Pick<Verification, 'changed' | 'changes'>

const TAB = 9

interface Line {
  readonly side: 'before' | 'after'
  readonly record: Buffer
}

/** Records of one side stand as they are, of the other behind a tab; every path begins with a slash. */
const lineOf = (bytes: Buffer): Line =>
  bytes[0] === TAB ? { side: 'after', record: bytes.subarray(1) } : { side: 'before', record: bytes }

const path = (record: Buffer): Buffer => record.subarray(0, pathEnd(record))

/**
 * Makes changes of the records that only one side has. Both records of a changed entry begin with the same path, so
 * they are neighbours in the merged order: holding one line back is enough, however many there are.
 */
export class ChangeCollector {
  readonly #changed: { path: Buffer; what: string }[] = []
  #changes = 0
  #held: Line | null = null

  add(bytes: Buffer): void {
    const line = lineOf(bytes)
    const held = this.#held
    if (held && held.side !== line.side && path(held.record).equals(path(line.record))) {
      this.#held = null
      const [before, after] = held.side === 'before' ? [held, line] : [line, held]
      this.#tell(path(before.record), () => differences(before.record, after.record))
      return
    }
    this.#release()
    this.#held = { side: line.side, record: Buffer.from(line.record) }
  }

  finish(): Comparison {
    this.#release()
    const changed = this.#changed.sort((a, b) => a.path.compare(b.path))
    return { changed: changed.map(({ path, what }) => ({ path: showBytes(path), what })), changes: this.#changes }
  }

  #release(): void {
    const held = this.#held
    this.#held = null
    if (held) this.#tell(path(held.record), () => (held.side === 'before' ? 'removed' : 'added'))
  }

  #tell(path: Buffer, what: () => string): void {
    this.#changes += 1
    if (this.#changed.length < MAX_TOLD) this.#changed.push({ path: Buffer.from(path), what: what() })
  }
}

/** Compares two files of sorted records, in memory that does not grow with them. */
export async function compare(before: string, after: string, abort: AbortSignal): Promise<Comparison> {
  const cutter = new RecordCutter()
  const collector = new ChangeCollector()
  const take = (chunk: Uint8Array) => {
    for (const bytes of cutter.cut(chunk)) collector.add(bytes)
  }
  const args = ['-3', '--zero-terminated', '--nocheck-order', before, after]
  requireSuccess('comm', await runTool('comm', args, abort, { on_stdout: take }))
  if (cutter.torn) throw new LazarusError('runtime_failed', 'comm ended in the middle of a record')
  return collector.finish()
}
