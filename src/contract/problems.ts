import type { z } from 'zod'

/** What a schema found wrong, in one line: "homes.0: must start with /; bogus: unknown". */
export const problemsOf = (error: z.ZodError): string =>
  error.issues.map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`)).join('; ')
