import { z } from 'zod'

const unit = <const A extends readonly [string, ...string[]]>(actions: A) =>
  z.strictObject({ name: z.string(), action: z.enum(actions) })

/** What `lazarus service install` did. */
export const installedService = z.strictObject({
  directory: z.string(),
  units: z.array(unit(['written', 'replaced', 'unchanged'])),
  started: z.boolean().meta({ description: 'Whether a start was asked for' }),
  running: z.boolean(),
  notes: z.array(z.string()),
})
export type InstalledService = z.infer<typeof installedService>

export const uninstalledService = z.strictObject({
  directory: z.string(),
  units: z.array(unit(['removed', 'absent'])),
})
export type UninstalledService = z.infer<typeof uninstalledService>
