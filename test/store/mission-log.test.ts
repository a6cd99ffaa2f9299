import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { DomainEvent, RecordedEvent } from '../../src/contract/event.ts'
import { findPosition, openLog, writeEvents } from '../../src/store/mission-log.ts'
import { recorded } from '../support/missions.ts'

const MISSION = '0b7c7f8e-53c7-4d2a-9d55-1f7c3f1b2a10'
const failed = (reason: string): DomainEvent => ({ type: 'mission_failed', agent_id: null, data: { reason } })
const lines = (events: readonly RecordedEvent[]) => events.map((event) => `${JSON.stringify(event)}\n`).join('')

describe('logs/mission.log', () => {
  let directory: string
  let path: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'lazarus-log-'))
    path = join(directory, 'mission.log')
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  const goOn = async (events: readonly RecordedEvent[]) => {
    await using file = await openLog(path)
    const position = await findPosition(file)
    return await writeEvents(
      file,
      position,
      events.filter((event) => event.version > position.version),
    )
  }

  it('is whole again wherever a kill cut it, however long its lines are', async () => {
    const reason = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.nat(70_000).map((n) => 'é'.repeat(n)),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(reason, { maxLength: 8 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (reasons, where) => {
          const events = recorded(MISSION, reasons.map(failed))
          const whole = Buffer.from(lines(events))
          writeFileSync(path, whole.subarray(0, Math.floor(whole.length * where)))
          const position = await goOn(events)
          expect(readFileSync(path)).toEqual(whole)
          expect(position).toMatchObject({ bytes: whole.length, version: events.length })
        },
      ),
      { numRuns: 40 },
    )
  })

  it('begins anew when its last line is no event', async () => {
    const events = recorded(MISSION, [failed('a'), failed('b')])
    for (const rubbish of ['not json\n', '{"seq": "x"}\n', 'null\n', '\n\n', `${lines(events)}null\n`]) {
      writeFileSync(path, rubbish)
      await goOn(events)
      expect(readFileSync(path, 'utf8')).toBe(lines(events))
    }
  })

  it('is not written through a symlink', async () => {
    writeFileSync(join(directory, 'canary'), 'untouched')
    symlinkSync('canary', path)
    await expect(goOn(recorded(MISSION, [failed('a')]))).rejects.toThrow('ELOOP')
    expect(readFileSync(join(directory, 'canary'), 'utf8')).toBe('untouched')
  })
})
