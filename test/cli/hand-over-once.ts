import { PassThrough } from 'node:stream'
import { sourceAround, sourceOf } from '../../src/cli/hand-over.ts'
import { Session } from '../../src/cli/session.ts'
import type { CliSettings } from '../../src/cli/settings.ts'
import { asLazarusError } from '../../src/kernel/errors.ts'
import { NO_LOCAL_PIT } from './no-local-pit.ts'

/** One hand-over as the user that runs this: <state_dir> <working directory> [<repo>]. Prints what came of it. */
const [state_dir = '', cwd = '', repo] = process.argv.slice(2)
const settings: CliSettings = {
  version: '0',
  state_dir,
  socket: null,
  token: null,
  colour: false,
  environment: process.env,
  uid: process.getuid!(),
  random: () => String(process.pid),
  local: NO_LOCAL_PIT,
  interrupted: new AbortController().signal,
}
const io = { stdin: new PassThrough(), stdout: process.stdout, stderr: process.stderr, cwd, now: () => Date.now() }
const session = new Session(io, settings, {})
try {
  const source = repo === undefined ? await sourceAround(session, undefined) : await sourceOf(session, repo, undefined)
  process.stdout.write(JSON.stringify(source))
} catch (error) {
  const { code, message, remedy } = asLazarusError(error)
  process.stdout.write(JSON.stringify({ code, message, remedy }))
}
