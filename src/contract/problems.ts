import type { z } from 'zod'

/** What a schema found wrong, in one line: "homes.0: must start with /; bogus: unknown". */
export const problemsOf = (error: z.ZodError): string =>
  error.issues.map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`)).join('; ')

const SHOWN = 60

/** For a file that people edit: the key, what was expected there, what was found. `known` are the keys at the top. */
export function describeProblem(issue: z.core.$ZodIssue, root: unknown, known: object): string {
  const key = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') {
    const names = issue.keys.map((name) => JSON.stringify(key === '' ? name : `${key}.${name}`)).join(', ')
    const choice = key === '' ? `; known are ${Object.keys(known).join(', ')}` : ''
    return `unknown key ${names}${choice}`
  }
  const expected = issue.message.replace(/^(Invalid \w+|Too \w+): /, '').replace(/, received .*$/, '')
  return `${key === '' ? 'the whole' : key}: ${expected}, received ${received(root, issue.path)}`
}

function received(root: unknown, path: readonly PropertyKey[]): string {
  const value = path.reduce((at: unknown, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], root)
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text
}
