import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { runCommand } from '../../src/alerts/command.ts'
import { deliver, waysOf } from '../../src/alerts/deliver.ts'
import { appendToFile } from '../../src/alerts/file.ts'
import { postWebhook } from '../../src/alerts/webhook.ts'
import type { DeadManAlert } from '../../src/contract/dead-man.ts'

const dir = mkdtempSync(join(tmpdir(), 'lazarus-alerts-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const ALERT: DeadManAlert = {
  event: 'pit_dead',
  outage_id: 'out_1',
  message: 'silent; $(touch pwned) `touch pwned`',
  reason: 'process 7 is gone',
  host: 'here',
  state_dir: '/state',
  pid: 7,
  silent_s: 250,
  since: '2026-01-01T00:00:00.000Z',
  at: '2026-01-01T00:04:10.000Z',
}
const PATH = { PATH: '/usr/bin:/bin' }

describe('command', () => {
  test('gets the alert on stdin and in an environment that holds nothing else, and no shell reads it', async () => {
    const out = join(dir, 'out')
    await runCommand(['sh', '-c', 'cd "$1"; cat >stdin; env >env; ls', 'sh', dir], PATH, ALERT)
    expect(JSON.parse(readFileSync(join(dir, 'stdin'), 'utf8'))).toEqual(ALERT)
    const names = readFileSync(join(dir, 'env'), 'utf8').match(/^[A-Z_]+(?==)/gm)
    expect(names?.filter((name) => !name.startsWith('LAZARUS_ALERT_')).toSorted()).toEqual(['OLDPWD', 'PATH', 'PWD'])
    expect(readFileSync(join(dir, 'env'), 'utf8')).toContain(`LAZARUS_ALERT_MESSAGE=${ALERT.message}\n`)
    await runCommand(
      ['sh', '-c', 'printf %s "$LAZARUS_ALERT_EVENT $LAZARUS_ALERT_SILENT_S" >"$1"', 'sh', out],
      PATH,
      ALERT,
    )
    expect(readFileSync(out, 'utf8')).toBe('pit_dead 250')
    expect(statSync(join(dir, 'pwned'), { throwIfNoEntry: false })).toBeUndefined()
  })

  test.each([
    [['sh', '-c', 'echo no mail today >&2; exit 3'], 'sh ended with exit code 3: no mail today'],
    [['sh', '-c', 'kill -9 $$'], 'sh ended with SIGKILL'],
    [['/no/such/mailer'], '/no/such/mailer could not be started'],
    [['sh', '-c', 'sleep 60 & sleep 60'], 'sh was ended: timeout'],
  ])('%j did not tell anybody', async (command, words) => {
    await expect(runCommand(command, PATH, ALERT, 500)).rejects.toThrow(words)
  })

  test('one that says a gigabyte costs no memory', async () => {
    const before = process.memoryUsage().rss
    await expect(runCommand(['yes'], PATH, ALERT)).rejects.toThrow('yes was ended: overflow')
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 ** 2)
  })
})

async function answering(reply: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(reply)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook/secret`
  return {
    url,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

describe('webhook', () => {
  test('posts the alert as JSON', async () => {
    const got: { method?: string | undefined; type?: string | undefined; body: string }[] = []
    await using hook = await answering(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      got.push({ method: request.method, type: request.headers['content-type'], body })
      response.end('thanks')
    })
    await postWebhook(hook.url, ALERT)
    expect(got).toEqual([{ method: 'POST', type: 'application/json', body: JSON.stringify(ALERT) }])
  })

  test('follows no redirect', async () => {
    let followed = false
    await using elsewhere = await answering((_request, response) => {
      followed = true
      response.end()
    })
    await using hook = await answering((_request, response) =>
      response.writeHead(307, { location: elsewhere.url }).end(),
    )
    await expect(postWebhook(hook.url, ALERT)).rejects.toThrow(/answered 307, and redirects are not followed/)
    expect(followed).toBe(false)
    await postWebhook(elsewhere.url, ALERT)
    expect(followed).toBe(true)
  })

  test('an answer without end is not read, one that never comes is not waited for', async () => {
    await using endless = await answering((_request, response) => {
      const block = Buffer.alloc(1024 ** 2)
      const write = () => {
        while (!response.destroyed && response.write(block)) {}
      }
      response.on('drain', write)
      write()
    })
    const before = process.memoryUsage().rss
    await postWebhook(endless.url, ALERT)
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 ** 2)
    await using silent = await answering(() => {})
    await expect(postWebhook(silent.url, ALERT, 300)).rejects.toThrow('no answer within 0.3 s')
  })

  test('failures name the origin and not the path, which is often the secret', async () => {
    await using broken = await answering((_request, response) => response.writeHead(500).end())
    const said = await postWebhook(broken.url, ALERT).catch((error: Error) => error.message)
    expect(said).toMatch(/^http:\/\/127\.0\.0\.1:\d+ answered 500$/)
    const refused = await postWebhook('http://127.0.0.1:9/secret', ALERT).catch((error: Error) => error.message)
    expect(refused).toMatch(/^http:\/\/127\.0\.0\.1:9: /)
    expect(refused).not.toContain('secret')
  })
})

describe('file', () => {
  test('gets a line for each alert, and is the operator’s alone', async () => {
    const path = join(dir, 'alerts.ndjson')
    await appendToFile(path, ALERT)
    await appendToFile(path, { ...ALERT, event: 'pit_back' })
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line).event)).toEqual(['pit_dead', 'pit_back'])
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  test('a symlink is not followed and a pipe not waited for', async () => {
    const target = join(dir, 'target')
    writeFileSync(target, 'mine')
    symlinkSync(target, join(dir, 'link'))
    await expect(appendToFile(join(dir, 'link'), ALERT)).rejects.toThrow('ELOOP')
    expect(readFileSync(target, 'utf8')).toBe('mine')
    execFileSync('mkfifo', [join(dir, 'pipe')])
    await expect(appendToFile(join(dir, 'pipe'), ALERT)).rejects.toThrow('ENXIO')
    await expect(appendToFile('/dev/null', ALERT)).rejects.toThrow('no regular file')
  })
})

test('every way is tried, and one that fails is told', async () => {
  const file = join(dir, 'all.ndjson')
  const ways = { command: ['false'], webhook: 'http://127.0.0.1:9/', file, environment: PATH }
  expect(waysOf(ways)).toEqual(['command', 'webhook', 'file'])
  expect(await deliver(waysOf(ways), ways, ALERT)).toEqual([
    { way: 'command', error: 'false ended with exit code 1: it said nothing' },
    { way: 'webhook', error: expect.stringContaining('http://127.0.0.1:9') },
    { way: 'file', error: null },
  ])
  expect(readFileSync(file, 'utf8')).toContain('out_1')
})
