import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PitProcess } from '../support/pit-process.ts'
import { ROOT } from '../support/source-tree.ts'

/** The first command that anybody runs, against a pit of its own. */
let pit: PitProcess
let ran: { readonly code: number; readonly stdout: string; readonly stderr: string }
beforeAll(async () => {
  pit = await PitProcess.start()
  ran = await new Promise((resolve) => {
    const argv = [join(ROOT, 'src/main/quickstart.ts'), '--once']
    execFile(process.execPath, argv, { env: pit.environment }, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    )
  })
})
afterAll(() => pit?.[Symbol.asyncDispose]())

test('quickstart ends well, and proves that no home changed', () => {
  expect([ran.code, ran.stderr], ran.stdout).toEqual([0, ''])
  expect(ran.stdout).toMatch(/\nHomes: [\d,]+ entr(y|ies) verified, none changed\.\n/)
})

test.each([1, 2, 3])(
  'quickstart at level_%i: commits, is killed, is back with its draft and its home, and finishes',
  (level) => {
    const [, , own = ''] = new RegExp(`\\n(level_${level})\\n((?: .*\\n)+)`).exec(ran.stdout) ?? []
    expect(own).toMatch(/death by SIGKILL noticed after \d+ ms, running again after \d+ ms, nothing lost/)
    expect(own).toContain(
      'it says: generation 2, resumed from live: I have my draft (half a thought) and my home (session 42)',
    )
    expect(own).toMatch(
      new RegExp(`delivered: \\w+ Work at level_${level}\\n.*delivered: \\w+ Finish the draft, as generation 2\\n`),
    )
    expect(own).toContain('homes unchanged')
  },
)

test('it leaves no mission behind', async () => {
  expect((await pit.call('GET', '/v1/missions')).body.missions).toEqual([])
})
