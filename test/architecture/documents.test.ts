import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ERRORS } from '../../src/kernel/errors.ts'
import { readPolicies } from '../../src/main/policies.ts'
import { ROOT, read } from '../support/source-tree.ts'

const inDocs = (page: string): string => `docs/${page}`

describe('documents agree with the code', () => {
  test('docs/errors.md lists every code with its status and retry class, and no other', () => {
    const rows = [...read('docs/errors.md').matchAll(/^\| `([a-z_]+)` \| (\d{3}) \| (yes|no) \|/gm)]
    const documented = rows.map(([, code, status, retry]) => [code, Number(status), retry === 'yes'])
    const actual = Object.entries(ERRORS).map(([code, { status, retryable }]) => [code, status, retryable])
    expect(documented.toSorted()).toEqual(actual.toSorted())
  })

  test('docs/dependencies.md has a line for every package, and no other', () => {
    const { dependencies, devDependencies } = JSON.parse(read('package.json'))
    const named = [...read('docs/dependencies.md').matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name)
    expect(named.toSorted()).toEqual([...Object.keys(dependencies), ...Object.keys(devDependencies)].toSorted())
  })

  test('every policy parses', () => {
    expect([...readPolicies(ROOT).keys()]).toEqual(['level_1', 'level_2', 'level_3', 'none'])
  })

  test('every file that a document links to exists', () => {
    const pages = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    const documents = ['README.md', 'AGENTS.md', ...pages.filter((page) => page.endsWith('.md')).map(inDocs)]
    const broken = documents.flatMap((document) =>
      [...read(document).matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
        .map(([, target]) => join(ROOT, document, '..', target!))
        .filter((path) => !existsSync(path)),
    )
    expect(broken).toEqual([])
  })
})
