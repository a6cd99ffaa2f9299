import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Timetable } from '../../src/kernel/timetable.ts'

test('the earliest comes first, of the same moment who came first, whatever was added and taken in between', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.integer({ min: -50, max: 50 })), { maxLength: 200 }), (moves) => {
      const times = new Timetable<number>()
      let model: { at: number; item: number }[] = []
      for (const [item, at] of moves.entries()) {
        if (at === null) {
          times.take()
          model = model.slice(1)
        } else {
          times.add(at, item)
          model = [...model, { at, item }].toSorted((a, b) => a.at - b.at || a.item - b.item)
        }
        const first = times.first()
        expect(first && { at: first.at, item: first.item }).toEqual(model[0] ?? null)
      }
    }),
  )
})
