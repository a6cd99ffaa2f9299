/** What a pretended process has: no file system, no kernel. */
export interface FakeProcess {
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly cwd: string
  readonly stdin: AsyncIterable<Uint8Array>
  write(stream: 'stdout' | 'stderr', text: string | Uint8Array): Promise<void>
  /** Aborted when it is killed; a program may ignore it, it ends all the same. */
  readonly killed: AbortSignal
}

/** Resolves to the exit code. */
export type FakeProgram = (process: FakeProcess) => Promise<number>

const asExit =
  (code: number): FakeProgram =>
  () =>
    Promise.resolve(code)

const echo: FakeProgram = async ({ args, write }) => {
  await write('stdout', `${args.join(' ')}\n`)
  return 0
}

const cat: FakeProgram = async ({ stdin, write }) => {
  for await (const chunk of stdin) await write('stdout', chunk)
  return 0
}

const env: FakeProgram = async ({ args, environment, write }) => {
  const end = args[0] === '-0' ? '\0' : '\n'
  for (const [name, value] of Object.entries(environment)) await write('stdout', `${name}=${value}${end}`)
  return 0
}

const pwd: FakeProgram = async ({ cwd, write }) => {
  await write('stdout', `${cwd}\n`)
  return 0
}

/** One %s in the format, repeated for every argument, as in a shell. */
const printf: FakeProgram = async ({ args: [format = '', ...values], write }) => {
  for (const value of values)
    await write(
      'stdout',
      format.replaceAll('\\n', '\n').replace('%s', () => value),
    )
  return 0
}

const forever: FakeProgram = () => new Promise<number>(() => {})

export const PROGRAMS: Readonly<Record<string, FakeProgram>> = {
  true: asExit(0),
  false: asExit(1),
  echo,
  cat,
  env,
  pwd,
  printf,
  sleep: forever,
}
