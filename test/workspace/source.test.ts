import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isLazarusError } from '../../src/kernel/errors.ts'
import { isRefName, packedRefs, parseListing } from '../../src/workspace/mirror-local.ts'
import { parseSource, repositoryKey } from '../../src/workspace/source.ts'

describe('what an operator calls a repository', () => {
  it('may be a path, a file URL, or an address that git fetches from', () => {
    expect(parseSource('/srv/a/../b/')).toEqual({ kind: 'local', path: '/srv/b', shown: '/srv/b' })
    expect(parseSource('file:///srv/with%20space')).toMatchObject({ kind: 'local', path: '/srv/with space' })
    expect(parseSource('https://example.org/a.git')).toMatchObject({
      url: 'https://example.org/a.git',
      protocol: 'https',
    })
    expect(parseSource('git://example.org/a')).toMatchObject({ protocol: 'git' })
    expect(parseSource('git@example.org:team/a.git')).toMatchObject({
      protocol: 'ssh',
      url: 'git@example.org:team/a.git',
    })
    expect(parseSource('ssh://git@example.org:2222/a')).toMatchObject({
      protocol: 'ssh',
      url: 'ssh://git@example.org:2222/a',
    })
  })

  it.each([
    'relative/path',
    './x',
    '../x',
    '~/x',
    '',
    '-x',
    '--upload-pack=touch x',
    'ext::sh -c touch% x',
    'fd::17',
    'http::https://x/y',
    'rsync://x/y',
    'ftp://x/y',
    'ssh://-oProxyCommand=touch/x',
    '-oProxyCommand=x:y',
    'git@-oProxyCommand=x:y',
    'host:-x',
    'file://other/x',
    'https://x/y?token=1',
    'file:///%ff',
    'javascript://x',
  ])('is refused when it is %j', (repo) => {
    expect(() => parseSource(repo)).toThrow(expect.objectContaining({ code: 'repository_unavailable' }))
  })

  it('is shown and named without credentials', () => {
    const source = parseSource('https://ada:s%23cret@example.org/a.git')
    expect(source).toMatchObject({
      url: 'https://example.org/a.git',
      shown: 'https://example.org/a.git',
      authorization: `Basic ${btoa('ada:s#cret')}`,
    })
    expect(source).toMatchObject({ key: repositoryKey('https://example.org/a') })
    expect(parseSource('ssh://git:pw@example.org/a')).toMatchObject({
      url: 'ssh://git@example.org/a',
      authorization: null,
    })
  })

  it('never comes out as an option, a helper or another transport', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webUrl(), fc.stringMatching(/^[a-z@:/.-]{1,30}$/)), (repo) => {
        try {
          const source = parseSource(repo)
          const address = source.kind === 'local' ? source.path : source.url
          return (
            !address.startsWith('-') &&
            !/^\w+::/.test(address) &&
            (source.kind === 'local' ? address.startsWith('/') : true)
          )
        } catch (error) {
          return isLazarusError(error) && error.code === 'repository_unavailable'
        }
      }),
    )
  })
})

describe('a listing out of the airlock', () => {
  const id = 'a'.repeat(40)

  it('is believed where it has the expected form', () => {
    const listing = parseListing(
      `format sha1\nhead ${id}\nshallow ${id}\nref ${id} refs/heads/a/b\nref ${id} refs/tags/v1`,
      'x',
    )
    expect(listing).toEqual({
      head: id,
      asked: null,
      shallow: [id],
      refs: new Map([
        ['refs/heads/a/b', id],
        ['refs/tags/v1', id],
      ]),
    })
  })

  it.each([
    'format sha256',
    `head ${'a'.repeat(39)}`,
    `ref ${id} refs/heads/../x`,
    `ref ${id} refs/remotes/x`,
    `ref ${id} refs/heads/a.lock`,
    `ref ${id} refs/heads/.a`,
    'gift x',
    `ref ${id}`,
  ])('is refused with the line %j', (line) => {
    expect(() => parseListing(line, 'x')).toThrow(expect.objectContaining({ code: 'repository_unavailable' }))
  })

  it('becomes packed-refs in the order of bytes, one line per ref', () => {
    const refs = new Map([
      ['refs/tags/z', id],
      ['refs/heads/ü', id],
      ['refs/heads/z', id],
    ])
    expect(packedRefs(refs).split('\n').slice(1)).toEqual([
      `${id} refs/heads/z`,
      `${id} refs/heads/ü`,
      `${id} refs/tags/z`,
      '',
    ])
    fc.assert(fc.property(fc.string(), (name) => !isRefName(`refs/heads/${name}`) || !/[\n\0 ]/.test(name)))
  })
})
