import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { output } from './command.ts'

/** Lines of a file at most; lines have 80 bytes. A larger repository has shorter files, so that the bench stays short. */
const LONGEST = { usual: 328, of_many: 32 }
const MANY = 20_000

/**
 * Makes a bare repository with one commit of `files` files, a hundred a folder, 13 KiB each on average (1 KiB where
 * they are many). The same every time.
 */
export async function makeHistory(dir: string, files: number): Promise<string> {
  const path = join(dir, `repository-${files}.git`)
  await output('git', ['init', '--quiet', '--bare', '--initial-branch=main', path])
  await output('git', ['-C', path, 'fast-import', '--quiet', '--depth=0'], { stdin: importStream(files) })
  return path
}

async function* importStream(files: number): AsyncGenerator<string> {
  const message = `${files} files`
  yield `commit refs/heads/main\ncommitter Bench <bench@example.org> 1700000000 +0000\ndata ${message.length}\n${message}\n`
  const longest = files > MANY ? LONGEST.of_many : LONGEST.usual
  for (let i = 0; i < files; i++) {
    const text = fileText(i, longest)
    yield `M 100644 inline src/${Math.floor(i / 100)}/file-${i}.txt\ndata ${text.length}\n${text}\n`
  }
}

/** Text that compresses about as well as source code does. */
function fileText(i: number, longest: number): string {
  const words = Array.from({ length: 8 }, (_, n) => createHash('sha256').update(`${i}.${n}`).digest('base64url'))
  const lines = 1 + ((i * 7919) % longest)
  return Array.from({ length: lines }, (_, line) => textLine(words[(line * line) % 8]!, line)).join('')
}

const textLine = (word: string, line: number): string =>
  `${`  const value${line} = compute('${word}', ${line})`.padEnd(79)}\n`
