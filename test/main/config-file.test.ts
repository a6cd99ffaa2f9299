import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { config } from '../../src/contract/config.ts'
import { createConfig, readConfig } from '../../src/main/config-file.ts'
import { readSettings } from '../../src/main/settings.ts'
import { read } from '../support/source-tree.ts'

const dir = mkdtempSync(join(tmpdir(), 'lazarus-config-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

let files = 0
function fileWith(content: unknown): string {
  const path = join(dir, `${files++}.json`)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

const complaint = (content: unknown): string => {
  try {
    readConfig(fileWith(content), true)
  } catch (error) {
    return (error as Error).message
  }
  return 'no complaint'
}

describe('a wrong configuration names the file, the key, what was expected and what was found', () => {
  test.each([
    [{ poll_interval: '30s' }, 'poll_interval: expected number, received "30s"'],
    [{ poll_interval: -1 }, 'poll_interval: expected number to be >0, received -1'],
    [{ poll_interval: 1e9 }, 'poll_interval: expected number to be <=86400, received 1000000000'],
    [{ auto_revive: 'maybe' }, 'auto_revive: expected true, false, "yes", "no" or "ask", received "maybe"'],
    [{ log_level: 'LOUD' }, 'log_level: expected one of'],
    [{ missions_path: 'here' }, 'missions_path: must start with "/", received "here"'],
    [
      { gateways: { a: 'file:///etc/passwd' } },
      'gateways.a: expected an http or https URL, received "file:///etc/passwd"',
    ],
    [{ homes: ['/home/*', 7] }, 'homes.1: expected string, received 7'],
    [{ dead_man: { afer: 3 } }, 'unknown key "dead_man.afer"'],
    [
      { dead_man: { webhook: 'http://me:secret@x/' } },
      'dead_man.webhook: expected an address without user and password',
    ],
    [{ timout: 3 }, 'unknown key "timout"; known are poll_interval, timeout,'],
    ['{"__proto__": {"timeout": 1}}', 'unknown key "__proto__"'],
    [[], 'the whole: expected object, received []'],
    ['null', 'the whole: expected object, received null'],
    ['{', 'is not JSON'],
    [{ homes: 'x'.repeat(9999) }, 'homes: expected array, received "xxxx'],
  ])('%j', (content, words) => {
    const said = complaint(content)
    expect(said).toContain(words)
    expect(said).toContain(`${dir}/${files - 1}.json`)
    expect(said.length).toBeLessThan(600)
  })

  test('several at once', () => {
    expect(complaint({ timeout: 'x', bogus: 1 })).toMatch(/timeout: .*; unknown key "bogus"/)
  })

  test('one that everybody may write is refused: it names a command', () => {
    const path = fileWith({})
    chmodSync(path, 0o666)
    expect(() => readConfig(path, true)).toThrow(/Everybody may write/)
    chmodSync(path, 0o664)
    expect(readConfig(path, true).timeout).toBe(300)
  })

  test('a missing one is an error only when somebody named it', () => {
    expect(readConfig(join(dir, 'none.json'), false)).toEqual(config.parse({}))
    expect(() => readConfig(join(dir, 'none.json'), true)).toThrow(/cannot be read: ENOENT/)
  })
})

describe('--create-config', () => {
  const original = ['poll_interval', 'timeout', 'max_retries', 'auto_revive', 'gateways', 'missions_path', 'log_level']

  test('writes the keys of the original with their defaults, for the operator alone', async () => {
    const path = join(dir, 'new', 'deep', 'config.json')
    expect(await createConfig(path, '/var/missions', false)).toEqual({ path, replaced: false })
    expect(Object.keys(JSON.parse(readFileSync(path, 'utf8'))).slice(0, 7)).toEqual(original)
    expect(readConfig(path, true)).toEqual(config.parse({ missions_path: '/var/missions' }))
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(join(dir, 'new')).mode & 0o777).toBe(0o700)
  })

  test('never replaces one, nor what a symlink names, unless it is forced', async () => {
    const path = fileWith({ timeout: 7 })
    await expect(createConfig(path, '/m', false)).rejects.toMatchObject({ code: 'conflict' })
    expect(readConfig(path, true).timeout).toBe(7)
    const link = join(dir, 'link.json')
    symlinkSync(join(dir, 'nowhere.json'), link)
    await expect(createConfig(link, '/m', false)).rejects.toMatchObject({ code: 'conflict' })
    expect(statSync(join(dir, 'nowhere.json'), { throwIfNoEntry: false })).toBeUndefined()
    expect(await createConfig(path, '/m', true)).toEqual({ path, replaced: true })
    expect(readConfig(path, true)).toMatchObject({ timeout: 300, missions_path: '/m' })
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  test('where it cannot be written it says so', async () => {
    await expect(createConfig('/proc/config.json', '/m', false)).rejects.toThrow(/cannot be written: E/)
  })
})

test('the document explains every key, and no other', () => {
  const documented = [...read('docs/operations.md').matchAll(/^\| `([a-z_.]+)` \|/gm)].map(([, key]) => key)
  const keys = Object.entries(config.shape).flatMap(([key, schema]) => {
    const parts = (schema as { unwrap?: () => { shape?: object } }).unwrap?.()?.shape
    return parts && key !== 'limits' ? Object.keys(parts).map((part) => `${key}.${part}`) : [key]
  })
  expect(documented.toSorted()).toEqual(keys.toSorted())
})

test('the configuration decides for missions that do not', () => {
  const path = fileWith({ max_retries: 9, auto_revive: false })
  expect(readSettings({ LAZARUS_CONFIG: path, HOME: dir }).config).toMatchObject({ max_retries: 9, auto_revive: false })
})
