import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fold } from '../../src/domain/mission.ts'
import { createCellDirectory } from '../../src/store/cell-directory.ts'
import { OPENING } from '../../src/store/half-laid.ts'
import { createLeftovers } from '../../src/store/leftovers.ts'
import { createMemoryLog } from '../../src/store/memory-log.ts'
import { missionCreated } from '../support/missions.ts'

const [ID, HAND_MADE] = ['0b7c7f8e-53c7-4d2a-9d55-1f7c3f1b2a10', '0b7c7f8e-53c7-4d2a-9d55-1f7c3f1b2a11'] as const
const TWO_HOURS_MS = 7_200_000

let missionsPath: string
let later_ms: number
const clock = { now: () => Date.now() + later_ms, monotonic: () => 0 }
beforeEach(() => {
  missionsPath = mkdtempSync(join(tmpdir(), 'lazarus-half-laid-'))
  later_ms = 0
})
afterEach(() => rmSync(missionsPath, { recursive: true }))

const makeCells = () => {
  const ledger = createMemoryLog({ clock })
  return { ledger, cells: createCellDirectory({ missionsPath, clock, ledger }) }
}
const sweep = (alive: readonly string[] = []) =>
  createLeftovers([], missionsPath, clock).sweep((id) => alive.includes(id))

test('a cell whose pit was killed before its mission was recorded goes, but not at once', async () => {
  expect(await makeCells().cells.lay(ID)).toBe(true)
  writeFileSync(join(missionsPath, ID, 'artifacts', 'left'), '')
  await sweep()
  expect(readdirSync(missionsPath), 'it may be opened just now').toEqual([ID])
  later_ms = TWO_HOURS_MS
  await sweep([ID])
  expect(readdirSync(missionsPath), 'its mission is known').toEqual([ID])
  await sweep()
  expect(readdirSync(missionsPath)).toEqual([])
})

test('a cell whose mission was recorded stays, even for a pit that does not know it', async () => {
  const { ledger, cells } = makeCells()
  await cells.lay(ID)
  const recorded = await ledger.append(ID, 0, [missionCreated({ directory: join(missionsPath, ID) })])
  await cells.write(fold(recorded)!, recorded)
  expect(existsSync(join(missionsPath, ID, OPENING))).toBe(false)
  later_ms = TWO_HOURS_MS
  await sweep()
  expect(readdirSync(missionsPath)).toEqual([ID])
})

test('what somebody made by hand stays, also when a pit was killed while it opened a mission there', async () => {
  mkdirSync(join(missionsPath, HAND_MADE, 'meta'), { recursive: true })
  expect(await makeCells().cells.lay(HAND_MADE)).toBe(false)
  later_ms = TWO_HOURS_MS
  await sweep()
  expect(readdirSync(missionsPath)).toEqual([HAND_MADE])
})

test('what was half laid, or half removed, when the pit was killed goes too', async () => {
  mkdirSync(join(missionsPath, `.laying-${ID}`, 'meta'), { recursive: true })
  mkdirSync(join(missionsPath, '.of-somebody'))
  await sweep()
  expect(readdirSync(missionsPath)).toEqual([`.laying-${ID}`, '.of-somebody'])
  later_ms = TWO_HOURS_MS
  await sweep()
  expect(readdirSync(missionsPath)).toEqual(['.of-somebody'])
})
