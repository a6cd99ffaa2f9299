import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { output } from './command.ts'

/** Makes a bare repository with one commit of `files` files, a hundred a folder, 0.5 to 8 KiB each. The same every time. */
export async function makeHistory(dir: string, files: number): Promise<string> {
  const path = join(dir, `repository-${files}.git`)
  await output('git', ['init', '--quiet', '--bare', '--initial-branch=main', path])
  await output('git', ['-C', path, 'fast-import', '--quiet', '--depth=0'], { stdin: importStream(files) })
  return path
}

async function* importStream(files: number): AsyncGenerator<string> {
  const message = `${files} files`
  yield `commit refs/heads/main\ncommitter Bench <bench@example.org> 1700000000 +0000\ndata ${message.length}\n${message}\n`
  for (let i = 0; i < files; i++) {
    const text = fileText(i)
    yield `M 100644 inline src/${Math.floor(i / 100)}/file-${i}.txt\ndata ${text.length}\n${text}\n`
  }
}

/** Text that compresses about as well as source code does. */
function fileText(i: number): string {
  const words = Array.from({ length: 8 }, (_, n) => createHash('sha256').update(`${i}.${n}`).digest('base64url'))
  const lines = 8 + ((i * 7919) % 112)
  return Array.from(
    { length: lines },
    (_, line) => `  const value${line} = compute('${words[(line * line) % 8]}', ${line})\n`,
  ).join('')
}
