import { z } from 'zod'
import { missionId } from './ids.ts'
import { missionRequest } from './mission.ts'
import { seatRequest } from './seat.ts'

/** A new seat from a checkpoint. What is left out is as in the seat that the checkpoint is of. */
export const forkRequest = seatRequest.extend({ role: seatRequest.shape.role.unwrap().optional() }).extend({
  mission: z
    .union([missionId, missionRequest.pick({ mission_name: true })])
    .optional()
    .meta({ description: 'Id of a mission of the same base, or the name of a new one; default: the same mission' }),
})
export type ForkRequest = z.infer<typeof forkRequest>
