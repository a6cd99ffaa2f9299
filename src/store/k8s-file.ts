const SPACE = 32
const NEWLINE = 10

/**
 * conmon writes `<time> <stdout|stderr> <P|F> <text>\n`; P marks a line that goes on in the next one. Gives back
 * the bytes as the agent wrote them. The `null` mark passes through.
 */
export async function* decodeK8sFile(chunks: AsyncIterable<Uint8Array | null>): AsyncIterable<Uint8Array | null> {
  let held = Buffer.alloc(0)
  for await (const chunk of chunks) {
    if (chunk === null) {
      yield null
      continue
    }
    const text = Buffer.concat([held, chunk])
    const end = text.lastIndexOf(NEWLINE) + 1
    held = text.subarray(end)
    if (end > 0) yield Buffer.concat(decodeLines(text.subarray(0, end)))
  }
}

function decodeLines(text: Buffer): Buffer[] {
  const parts: Buffer[] = []
  for (let from = 0; from < text.length; ) {
    const newline = text.indexOf(NEWLINE, from)
    parts.push(decodeLine(text.subarray(from, newline + 1)))
    from = newline + 1
  }
  return parts
}

/** A line that is not of the format is given as it is, rather than lost. */
function decodeLine(line: Buffer): Buffer {
  const stream = line.indexOf(SPACE) + 1
  const tag = line.indexOf(SPACE, stream) + 1
  const text = line.indexOf(SPACE, tag) + 1
  if (stream === 0 || tag === 0 || text === 0) return line
  return line[tag] === 'P'.charCodeAt(0) ? line.subarray(text, -1) : line.subarray(text)
}
