import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lazarus, type Ran } from '../cli/terminal.ts'
import { podman } from '../support/pit-container.ts'
import { PitProcess } from '../support/pit-process.ts'

/** Checkpoints and revival as an operator types them, against a real pit. */
let pit: PitProcess
beforeAll(async () => {
  pit = await PitProcess.start()
})
afterAll(() => pit?.[Symbol.asyncDispose]())

const cli = (...words: string[]): Promise<Ran> => lazarus(words, { state_dir: pit.stateDir })

async function done(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await cli(...words)
  expect(code, `lazarus ${words.join(' ')}\n${stderr}`).toBe(0)
  return stdout
}

const WORKS = ['sh', '-c', 'echo first > work; exec sleep 600']
const RESUMES = 'echo "resumed $LAZARUS_RESUMED_FROM" >> "$HOME/journal"; exec sleep 600'

/** In the cell: until the agent has written so far. */
const written = (path: string): string => `until [ -s "${path}" ]; do sleep 0.01; done; `

interface Cell {
  readonly id: string
  readonly inCell: (script: string) => Promise<string>
  readonly until: (holds: (seat: { status: string; generation: number }) => boolean) => Promise<unknown>
}

async function openCell(name: string, level: string, ...options: string[]): Promise<Cell> {
  const id = (await done('mission', 'create', name, '--level', level, ...options)).split('\n')[0]!
  await done('seat', 'add', name, 'ada', '--resume-command', RESUMES, '--', ...WORKS)
  const inCell = (script: string) => done('exec', name, 'ada', '--', 'sh', '-c', script)
  await inCell(written('work'))
  return {
    id,
    inCell,
    until: (holds) => pit.until(`/v1/missions/${id}/seats/ada`, holds),
  }
}

describe.each(['1', '2', '3'])('at level_%s', (level) => {
  test('an operator takes checkpoints, goes back, forks, and finds a flipped bit', async () => {
    const name = `look-${level}`
    const inSeat = (agent: string, script: string) => done('exec', name, agent, '--', 'sh', '-c', script)
    const { id, inCell } = await openCell(name, level)
    const [first] = (await done('checkpoint', name, 'ada', '--reason', 'the good one')).split('\n') as [string]
    await inCell('echo second >> work; echo note > $HOME/note; echo tool > /tmp/tool')
    const second = (await done('checkpoint', name, 'ada')).split('\n')[0]!
    expect(await done('checkpoints', name, 'ada')).toMatch(
      new RegExp(`^${first} +1 +1 .* yes +- +the good one\\n${second} +2 +1 .* asked for\\n$`, 'm'),
    )

    expect(await done('restore', name, 'ada', first.slice(0, 14))).toMatch(
      new RegExp(`generation +2\\nresumed from +${first}\\n`),
    )
    expect(await inCell(`${written('$HOME/journal')}cat work; ls $HOME; cat $HOME/journal; ls /tmp`)).toBe(
      `first\njournal\nresumed ${first}\n`,
    )

    await done('checkpoint', 'fork', name, 'ada', second, 'twin')
    expect(await inSeat('twin', `${written('$HOME/journal')}cat work $HOME/note $HOME/journal`)).toBe(
      `first\nsecond\nnote\nresumed ${second}\n`,
    )
    const own = ['sh', '-c', 'echo own > $HOME/journal; exec sleep 600']
    await done('checkpoint', 'fork', name, 'ada', second, 'reviewer', '--', ...own)
    expect(await inSeat('reviewer', `${written('$HOME/journal')}cat work $HOME/journal`)).toBe('first\nsecond\nown\n')

    expect(await done('checkpoint', 'verify', name, 'ada', second)).toContain('is sound')
    await flip(join(pit.stateDir, 'missions', id, 'checkpoints/ada', second, 'snapshot.tar.zst'))
    for (const verb of [['checkpoint', 'verify'], ['restore']]) {
      const refused = await cli(...verb, name, 'ada', second)
      expect([refused.code, refused.stderr]).toEqual([4, expect.stringContaining('checkpoint_corrupt')])
    }
    expect(await inCell('cat work'), 'the live seat is as it was').toBe('first\n')
    await done('destroy', name, '--force')
  })
})

test('level_2: an agent that asks first waits in ps and in the queue, and comes back when it is approved', async () => {
  const { inCell, until } = await openCell('asking', '2', '--auto-revive', 'ask')
  await done('kill', 'asking', 'ada')
  await until(({ status }) => status === 'awaiting_approval')
  const [queued] = JSON.parse(await done('revivals', '--json')).revivals
  expect(await done('ps')).toMatch(
    new RegExp(`ada .*SIGKILL .*; revival waits for approval; lazarus revivals approve ${queued.revival_id}\\n`),
  )
  expect(await done('revivals', 'approve', queued.revival_id.slice(0, 9))).toContain('approved')
  await until(({ status, generation }) => status === 'active' && generation === 2)
  expect(await inCell(`${written('$HOME/journal')}cat work $HOME/journal`)).toBe('first\nresumed live\n')
  expect(await done('incidents', 'asking')).toMatch(/ada +1 +SIGKILL +\d+ ms .* live +nothing +revived/)
  await done('destroy', 'asking', '--force')
})

test('level_2: out of quarantine by hand, from a checkpoint', async () => {
  const { inCell, until } = await openCell('worn-out', '2', '--max-retries', '0')
  await done('checkpoint', 'worn-out', 'ada')
  await inCell('echo wrong >> work')
  await done('kill', 'worn-out', 'ada')
  await until(({ status }) => status === 'quarantined')
  expect(await done('mission', 'inspect', 'worn-out')).toMatch(/ada .*quarantined .* 0 of 0 revivals/)
  expect((await cli('exec', 'worn-out', 'ada', '--', 'true')).stderr).toContain('agent_quarantined')
  expect(await done('revive', 'worn-out', 'ada', '--from', 'latest')).toMatch(/generation +2/)
  expect(await inCell('cat work')).toBe('first\n')
  expect(await done('checkpoints', 'worn-out', 'ada'), 'the way back').toContain('before restore')
  await done('destroy', 'worn-out', '--force')
})

test('level_3: the container is made anew from its image, and what was promised is there: worktree, home, artifacts', async () => {
  const { id, inCell, until } = await openCell('removed', '3')
  const [kept, lost] = [
    ['/workspace/kept', '/home/agent/.local/bin/tool', '/artifacts/kept'],
    ['/tmp/lost', '/var/tmp/lost', '/dev/shm/lost'],
  ]
  await inCell(`mkdir -p ~/.local/bin; for path in ${[...kept, ...lost].join(' ')}; do echo here > $path; done`)
  expect((await cli('exec', 'removed', 'ada', '--', 'touch', '/usr/local/bin/tool')).stderr).toMatch(/read-only/i)
  const found = await podman('ps', '--quiet', '--filter', `label=lazarus.mission=${id}`)
  await podman('rm', '--force', '--time', '0', found)
  await until(({ status, generation }) => status === 'active' && generation === 2)
  const look = (paths: readonly string[]) => inCell(`ls -d ${paths.join(' ')} 2>/dev/null || true`)
  expect(await look(kept)).toBe(`${kept.toSorted().join('\n')}\n`)
  expect(await look(lost)).toBe('')
  await done('destroy', 'removed', '--force')
})

test('level_2: a run hands on the exit code of its command, and nobody comes back', async () => {
  const ran = await cli('run', '--keep', '--name', 'short', '--', 'sh', '-c', 'exit 7')
  expect(ran.code).toBe(7)
  expect(await done('mission', 'inspect', 'short')).toMatch(/^revival +no$/m)
  await done('destroy', 'short', '--force')
})

async function flip(path: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const byte = Buffer.alloc(1)
    const at = Math.floor((await file.stat()).size / 2)
    await file.read(byte, 0, 1, at)
    await file.write(Buffer.from([byte[0]! ^ 1]), 0, 1, at)
  } finally {
    await file.close()
  }
}
