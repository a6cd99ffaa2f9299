import type { Output } from './settings.ts'

const QUIET_MS = 1000
const FRAME_MS = 100
const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']

/** Says on stderr what is under way, once it has taken a second: a spinner on a terminal, else one line. */
export async function withProgress<T>(stderr: Output, text: string, work: Promise<T>): Promise<T> {
  let clear = () => {}
  const timer = setTimeout(() => {
    clear = stderr.isTTY ? spin(stderr, text) : announce(stderr, text)
  }, QUIET_MS)
  try {
    return await work
  } finally {
    clearTimeout(timer)
    clear()
  }
}

function announce(stderr: Output, text: string): () => void {
  stderr.write(`${text} …\n`)
  return () => {}
}

function spin(stderr: Output, text: string): () => void {
  let frame = 0
  const draw = () => stderr.write(`\r${FRAMES[frame++ % FRAMES.length]} ${text}`)
  draw()
  const timer = setInterval(draw, FRAME_MS)
  return () => {
    clearInterval(timer)
    stderr.write('\r\u001b[K')
  }
}
