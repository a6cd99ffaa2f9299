/** The data of each server-sent event; comments and other fields are passed over. */
export async function* serverSentData(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  for await (const block of split(stream, '\n\n')) {
    const data = block
      .split('\n')
      .filter((line) => line.startsWith('data:'))
      .map((line) => line.slice(5).replace(/^ /, ''))
    if (data.length > 0) yield data.join('\n')
  }
}

/** Whole lines of a byte stream; an empty last one is left out. */
export const lines = (stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> => split(stream, '\n')

async function* split(stream: AsyncIterable<Uint8Array>, separator: string): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split(separator)
    rest = parts.pop() ?? ''
    yield* parts
  }
  if (rest !== '') yield rest
}
