import { checkpointStoreConformance } from '../conformance/checkpoint-store.ts'
import { makeOrigin, TestBed } from './support.ts'

for (const mode of ['overlay', 'clone'] as const) {
  checkpointStoreConformance(`over layers of the form ${mode}`, async () => {
    const bed = new TestBed()
    const first = await bed.seat(makeOrigin(bed.path('origin')), { mode, agent_id: 'first' })
    const { mission_id } = first.layer.seat
    return {
      store: bed.checkpoints,
      seat: async (agent_id) => {
        const { layer } = await bed.seatIn(mission_id, first.layer.base, { mode, agent_id })
        const seat = async () => bed.seatIn(mission_id, first.layer.base, { mode, agent_id })
        return {
          layer,
          write: async (name, content) => {
            await (await seat()).sh(`printf %s '${content}' > ${name}; touch -d @1000000000 ${name} .`)
          },
          read: async () => {
            const text = await (await seat()).sh(`for f in *; do [ "$f" = README.md ] || echo "$f=$(cat "$f")"; done`)
            return Object.fromEntries(
              text
                .split('\n')
                .filter(Boolean)
                .map((line) => line.split('=')),
            )
          },
        }
      },
      dispose: () => bed[Symbol.asyncDispose](),
    }
  })
}
