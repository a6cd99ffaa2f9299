/** A small assembler for classic BPF as seccomp takes it: labels instead of offsets. */
export type Label = symbol

type Instruction =
  | { readonly op: 'load'; readonly offset: number }
  | { readonly op: 'and'; readonly k: number }
  | { readonly op: 'return'; readonly k: number }
  | { readonly op: 'goto'; readonly to: Label }
  | { readonly op: 'jeq' | 'jgt' | 'jge'; readonly k: number; readonly yes: Label | null; readonly no: Label | null }

const CODES = { load: 0x20, and: 0x54, return: 0x06, goto: 0x05, jeq: 0x15, jgt: 0x25, jge: 0x35 } as const

export class BpfProgram {
  readonly #lines: Instruction[] = []
  readonly #places = new Map<Label, number>()

  /** Loads the 32-bit word at this offset of struct seccomp_data. */
  load(offset: number): void {
    this.#lines.push({ op: 'load', offset })
  }
  and(k: number): void {
    this.#lines.push({ op: 'and', k })
  }
  return(k: number): void {
    this.#lines.push({ op: 'return', k })
  }
  goto(to: Label): void {
    this.#lines.push({ op: 'goto', to })
  }
  /** Compares the loaded word, unsigned; null goes on with the next instruction. At most 255 instructions far. */
  jump(op: 'jeq' | 'jgt' | 'jge', k: number, yes: Label | null, no: Label | null): void {
    this.#lines.push({ op, k, yes, no })
  }
  place(label: Label): void {
    this.#places.set(label, this.#lines.length)
  }

  /** Little-endian array of struct sock_filter. */
  assemble(): Uint8Array {
    const bytes = new Uint8Array(this.#lines.length * 8)
    const view = new DataView(bytes.buffer)
    for (const [index, line] of this.#lines.entries()) {
      view.setUint16(index * 8, CODES[line.op], true)
      this.#operands(view, index, line)
    }
    return bytes
  }

  #operands(view: DataView, index: number, line: Instruction): void {
    const at = index * 8
    const distance = (label: Label | null) => (label === null ? 0 : this.#places.get(label)! - index - 1)
    switch (line.op) {
      case 'load':
        view.setUint32(at + 4, line.offset, true)
        break
      case 'and':
      case 'return':
        view.setUint32(at + 4, line.k, true)
        break
      case 'goto':
        view.setUint32(at + 4, distance(line.to), true)
        break
      default:
        view.setUint8(at + 2, short(distance(line.yes)))
        view.setUint8(at + 3, short(distance(line.no)))
        view.setUint32(at + 4, line.k, true)
    }
  }
}

function short(distance: number): number {
  if (distance >= 0 && distance <= 255) return distance
  throw new RangeError(`a BPF jump over ${distance} instructions`)
}
