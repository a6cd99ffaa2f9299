/** Members of a tar byte by byte, also such as nobody honest would write. */
export interface Member {
  readonly name: string
  readonly type?: string
  readonly mode?: number
  readonly link?: string
  readonly content?: string | Buffer
  readonly prefix?: string
  readonly major?: number
  readonly minor?: number
  readonly magic?: string
}

const BLOCK = 512

export function member({
  name,
  type = '0',
  mode = 0o644,
  link = '',
  content = '',
  prefix = '',
  major = 0,
  minor = 0,
  magic = 'ustar\x0000',
}: Member): Buffer {
  const body = Buffer.from(content)
  const block = Buffer.alloc(BLOCK)
  const put = (text: string, at: number) => block.write(text, at, 'latin1')
  const octal = (value: number, at: number, length: number) => put(value.toString(8).padStart(length - 1, '0'), at)
  put(name.slice(0, 100), 0)
  octal(mode, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(body.length, 124, 12)
  octal(1_000_000_000, 136, 12)
  put(type, 156)
  put(link.slice(0, 100), 157)
  put(magic, 257)
  octal(major, 329, 8)
  octal(minor, 337, 8)
  put(prefix, 345)
  block.fill(' ', 148, 156)
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  )
  block[154] = 0
  return Buffer.concat([block, body, Buffer.alloc(-body.length & (BLOCK - 1))])
}

/** Records of a pax header. */
export const pax = (records: Readonly<Record<string, string>>): Buffer =>
  Buffer.concat(
    Object.entries(records).map(([key, value]) => {
      const rest = Buffer.from(` ${key}=${value}\n`, 'latin1')
      let length = rest.length
      while (rest.length + String(length).length !== length) length = rest.length + String(length).length
      return Buffer.concat([Buffer.from(String(length)), rest])
    }),
  )

export const paxed = (records: Readonly<Record<string, string>>, of: Buffer, more: Buffer = Buffer.alloc(0)): Buffer =>
  Buffer.concat([member({ name: 'PaxHeaders/x', type: 'x', content: Buffer.concat([pax(records), more]) }), of])

export const ending = Buffer.alloc(2 * BLOCK)
