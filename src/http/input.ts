import { z } from 'zod'
import { LazarusError } from '../kernel/errors.ts'

type Part = 'path' | 'query' | 'body'
type Issue = z.core.$ZodIssue

const MAX_SHOWN = 120
const nothing = z.strictObject({})

/** Parses one part of a request. What no schema names is refused: a part without a schema must be empty. */
export function parse(part: Part, schema: z.ZodType | undefined, value: unknown): unknown {
  const result = (schema ?? nothing).safeParse(value === undefined ? {} : value, { reportInput: true })
  if (result.success) return result.data
  throw invalid(part, result.error.issues)
}

function invalid(part: Part, issues: readonly Issue[]): LazarusError {
  const problems = issues.slice(0, 10).map((issue) => describe(part, issue))
  const text = problems.map(({ field, received, expected }) => `${field}: expected ${expected}, received ${received}`)
  return new LazarusError('invalid_request', `Invalid ${part}: ${text.join('; ')}`, { details: { problems } })
}

interface Problem {
  readonly field: string
  readonly expected: string
  readonly received: string
}

function describe(part: Part, issue: Issue): Problem {
  const path = issue.path.map(String)
  if (issue.code === 'unrecognized_keys') {
    const field = [...path, shorten(issue.keys[0] ?? '')].join('.')
    return { field, expected: 'no such field', received: shown(valueAt(issue.input, issue.keys[0])) }
  }
  return { field: path.join('.') || part, expected: expectation(issue.message), received: shown(issue.input) }
}

/** "Too small: expected number to be >=1", "Invalid input: expected string, received number" → what comes after "expected". */
const expectation = (message: string): string =>
  message.replace(/^(Invalid|Too) \w+: expected /, '').replace(/, received .*$/, '')

const valueAt = (input: unknown, key: string | undefined): unknown =>
  typeof input === 'object' && input !== null && key !== undefined && Object.hasOwn(input, key)
    ? (input as Record<string, unknown>)[key]
    : undefined

/** A value as JSON, bounded and on one line. Objects are named by kind alone: they may hold an environment. */
function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'object' && value !== null) return 'an object'
  return shorten(JSON.stringify(value) ?? String(value))
}

const shorten = (text: string): string =>
  text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)}… (${text.length} characters)`
