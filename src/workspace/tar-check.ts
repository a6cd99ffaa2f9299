import type { TarHeader } from './tar-header.ts'
import { readHeader, readPax, TarFault } from './tar-header.ts'

export interface TarBounds {
  /** What the first component of every name must be one of; those themselves are directories. */
  readonly parts: readonly string[]
  readonly max_entries: number
  readonly max_bytes: number
}

const BLOCK = 512
/** Of one pax header: the names, and the attributes that Linux lets one file have. */
const MOST_PAX_BYTES = 1024 ** 2
/** What a path may have below the directory that it is extracted in: PATH_MAX without the NUL. */
const LONGEST_NAME = 4095

/**
 * Reads a tar as if somebody hostile had written it, while it passes by: the headers of what GNU tar writes with
 * --format=posix, and nothing else. Throws a TarFault at the first thing that we would not have written. Content is
 * not looked at.
 */
export class TarCheck {
  /** Members and bytes so far. */
  entries = 0
  bytes = 0
  /** The first components that came. */
  readonly parts = new Set<string>()
  readonly #bounds: TarBounds
  /** Bytes of content and padding until the next header. */
  #skip = 0
  #gathered: Buffer[] = []
  /** What is gathered: a header, or the records of a pax header. */
  #wanted = BLOCK
  #isPax = false
  #pax_bytes = 0
  #pax: ReadonlyMap<string, Buffer> | null = null
  #zeroBlocks = 0

  constructor(bounds: TarBounds) {
    this.#bounds = bounds
  }

  push(chunk: Buffer): void {
    this.bytes += chunk.length
    if (this.bytes > this.#bounds.max_bytes) throw new TarFault(`more than ${this.#bounds.max_bytes} bytes`, 'bytes')
    for (let at = 0; at < chunk.length; ) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, chunk.length - at)
        this.#skip -= skipped
        at += skipped
      } else {
        const part = chunk.subarray(at, at + this.#wanted)
        at += part.length
        this.#gather(part)
      }
    }
  }

  /** Throws when the archive ends before its end. */
  end(): void {
    if (this.#zeroBlocks >= 2 && this.#wanted === BLOCK && this.#skip === 0) return
    throw new TarFault('it ends in the middle')
  }

  #gather(part: Buffer): void {
    this.#wanted -= part.length
    if (this.#wanted > 0 || this.#gathered.length > 0) this.#gathered.push(part)
    if (this.#wanted > 0) return
    const whole = this.#gathered.length > 0 ? Buffer.concat(this.#gathered) : part
    this.#gathered = []
    this.#wanted = BLOCK
    if (this.#isPax) this.#takePax(whole)
    else this.#takeHeader(whole)
  }

  #takePax(content: Buffer): void {
    this.#isPax = false
    this.#pax = readPax(content.subarray(0, this.#pax_bytes))
  }

  #takeHeader(block: Buffer): void {
    if (isZero(block)) {
      if (this.#pax !== null) throw new TarFault('a pax header without its member')
      this.#zeroBlocks += 1
      return
    }
    if (this.#zeroBlocks > 0) throw new TarFault('something after its end')
    const header = readHeader(block, this.#pax)
    if (header.type === 'pax') this.#expectPax(header)
    else this.#takeMember(header)
  }

  #expectPax({ size }: TarHeader): void {
    if (this.#pax !== null || size === 0 || size > MOST_PAX_BYTES) throw new TarFault('a misplaced pax header')
    this.#isPax = true
    this.#pax_bytes = size
    this.#wanted = blocks(size)
  }

  #takeMember(header: TarHeader): void {
    this.#pax = null
    this.entries += 1
    const { max_entries } = this.#bounds
    if (this.entries > max_entries) throw new TarFault(`more than ${max_entries} entries`, 'entries')
    this.#requireName(header.name, header.type)
    if (header.type === 'link') this.#requireName(header.link, header.type)
    if (header.size > 0 && header.type !== 'file') throw new TarFault('content where none can be')
    this.#skip = blocks(header.size)
  }

  #requireName(name: Buffer, type: TarHeader['type']): void {
    if (name.length > LONGEST_NAME) throw new TarFault(`a path of ${name.length} bytes`, 'path')
    const text = name.toString('latin1')
    const steps = (text.endsWith('/') && type === 'directory' ? text.slice(0, -1) : text).split('/')
    const bad = steps.some((step) => step === '' || step === '.' || step === '..') || text.includes('\0')
    if (bad) throw new TarFault(`the name ${JSON.stringify(text.slice(0, 200))}`)
    const [part = ''] = steps
    const isKnown = this.#bounds.parts.includes(part) && (steps.length > 1 || type === 'directory')
    if (!isKnown) throw new TarFault(`the name ${JSON.stringify(text.slice(0, 200))} outside of its parts`)
    this.parts.add(part)
  }
}

const blocks = (size: number): number => Math.ceil(size / BLOCK) * BLOCK

const ZEROS = Buffer.alloc(BLOCK)
const isZero = (block: Buffer): boolean => block[0] === 0 && block.equals(ZEROS)
