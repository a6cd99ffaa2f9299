export type TarType = 'file' | 'link' | 'symlink' | 'whiteout' | 'directory' | 'fifo' | 'pax'

/** One header as `tar-check.ts` needs it, with what the pax header before it says. */
export interface TarHeader {
  readonly type: TarType
  /** Bytes of any encoding. */
  readonly name: Buffer
  readonly link: Buffer
  readonly size: number
}

/** What is wrong with an archive; `limit` when a bound of ours is all that is. */
export class TarFault extends Error {
  readonly limit: 'bytes' | 'entries' | 'path' | null
  constructor(message: string, limit: TarFault['limit'] = null) {
    super(message)
    this.name = 'TarFault'
    this.limit = limit
  }
}

const TYPES: Readonly<Record<string, TarType>> = {
  '0': 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'whiteout',
  '5': 'directory',
  '6': 'fifo',
  x: 'pax',
}

const SET_ID = 0o6000

export function readHeader(block: Buffer, pax: ReadonlyMap<string, Buffer> | null): TarHeader {
  if (octal(block, 148, 8) !== checksum(block)) throw new TarFault('a header with a wrong checksum')
  if (block.toString('latin1', 257, 265) !== 'ustar\x0000') throw new TarFault('a header that is not POSIX')
  const letter = String.fromCharCode(block[156]!)
  const type = TYPES[letter]
  if (type === undefined) throw new TarFault(`a member of type ${JSON.stringify(letter)}`)
  if ((octal(block, 100, 8) & SET_ID) !== 0) throw new TarFault('a member that is setuid or setgid')
  if (type === 'whiteout' && (octal(block, 329, 8) !== 0 || octal(block, 337, 8) !== 0))
    throw new TarFault('a device node that is no whiteout')
  const size = pax?.get('size')
  return {
    type,
    name: pax?.get('GNU.sparse.name') ?? pax?.get('path') ?? nameIn(block),
    link: pax?.get('linkpath') ?? field(block, 157, 100),
    size: size === undefined ? octal(block, 124, 12) : decimal(size.toString('latin1')),
  }
}

const nameIn = (block: Buffer): Buffer => {
  const name = field(block, 0, 100)
  return block[345] === 0 ? name : Buffer.concat([field(block, 345, 155), Buffer.from('/'), name])
}

/** Up to the first NUL. */
function field(block: Buffer, at: number, length: number): Buffer {
  const whole = block.subarray(at, at + length)
  const end = whole.indexOf(0)
  return end < 0 ? whole : whole.subarray(0, end)
}

/** Digits, then NUL or space. Numbers in base 256 are not POSIX. */
function octal(block: Buffer, at: number, length: number): number {
  let value = 0
  for (let index = at; index < at + length; index += 1) {
    const byte = block[index]!
    if (byte === 0 || byte === 32) return value
    if (byte < 48 || byte > 55) throw new TarFault('a header with a number that is none')
    value = value * 8 + (byte - 48)
  }
  return value
}

/** The sum of all bytes, those of the checksum itself counted as spaces. */
function checksum(block: Buffer): number {
  let sum = 8 * 32
  for (let index = 0; index < 148; index += 1) sum += block[index]!
  for (let index = 156; index < 512; index += 1) sum += block[index]!
  return sum
}

function decimal(text: string): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(value)) return value
  throw new TarFault(`a number ${JSON.stringify(text.slice(0, 40))}`)
}

const KNOWN_KEYS =
  /^(path|linkpath|size|[amc]time|[ug]id|[ug]name|GNU\.sparse\.(major|minor|name|realsize)|SCHILY\.xattr\.user\..+)$/s

/** Records of "<length> <key>=<value>\n". A key that we would not have written, or one that comes twice, is refused. */
export function readPax(content: Buffer): ReadonlyMap<string, Buffer> {
  const records = new Map<string, Buffer>()
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(32, at)
    const length = decimal(content.toString('latin1', at, Math.max(at, space)))
    const equals = content.indexOf(61, space)
    const end = at + length
    if (equals < space || end > content.length || equals >= end || content[end - 1] !== 10) {
      throw new TarFault('a pax header that cannot be read')
    }
    const key = content.toString('latin1', space + 1, equals)
    if (!KNOWN_KEYS.test(key) || records.has(key))
      throw new TarFault(`a pax header with ${JSON.stringify(key.slice(0, 100))}`)
    records.set(key, content.subarray(equals + 1, end - 1))
    at = end
  }
  return records
}
