import { headBytes, InvalidAnswer, parseFields } from './answer-head.ts'
import { HeadReader } from './head-reader.ts'

/** What of the chunks comes next. */
type Expected = 'size' | 'extension' | 'size-end' | 'data' | 'data-cr' | 'data-lf' | 'trailers'

/** As a hexadecimal number it is below 2^52. */
const mostDigits = 13

/** The most octets of the extensions of one chunk. */
const mostExtension = 4 * 1024

/** Decodes a body in chunks (RFC 9112 §7.1), in the memory in which it came. */
export class Chunks {
  /** The trailers, once all of the body has come. */
  trailers: readonly string[] | null = null
  /** Where the data of the last `decode` ends in its memory, and where what follows the body begins. */
  dataEnd = 0
  rest = 0
  #expected: Expected = 'size'
  #left = 0
  #digits = 0
  #extension = 0
  #trailer: HeadReader | null = null

  /**
   * Moves the data among the octets from `start` to `end` together, so that it lies from `start` to
   * `dataEnd`. Throws InvalidAnswer.
   */
  decode(data: Buffer, start: number, end: number): void {
    let at = start
    let out = start
    while (at < end && this.trailers === null) {
      if (this.#expected === 'data') {
        const length = Math.min(this.#left, end - at)
        if (out !== at) data.copyWithin(out, at, at + length)
        out += length
        at += length
        this.#left -= length
        if (this.#left === 0) this.#expected = 'data-cr'
      } else if (this.#expected === 'trailers') at = this.#readTrailers(data, at, end)
      else this.#readOctet(data[at++] as number)
    }
    this.dataEnd = out
    this.rest = at
  }

  #readOctet(octet: number): void {
    switch (this.#expected) {
      case 'size': {
        const digit = digitOf(octet)
        if (digit !== -1) {
          this.#left = this.#left * 16 + digit
          if (++this.#digits > mostDigits) throw new InvalidAnswer('A chunk of it is too large.')
          return
        }
        if (this.#digits === 0) throw new InvalidAnswer('A chunk of it has no size.')
        if (octet === carriageReturn) this.#expected = 'size-end'
        else if (octet === 59 || octet === 32 || octet === 9) this.#expected = 'extension'
        else throw new InvalidAnswer('The size of a chunk of it is no number.')
        return
      }
      case 'extension':
        if (octet === carriageReturn) this.#expected = 'size-end'
        else if (octet === lineFeed || ++this.#extension > mostExtension)
          throw new InvalidAnswer('A chunk of it has a long or broken extension.')
        return
      case 'size-end':
        if (octet !== lineFeed) throw new InvalidAnswer('The line of a chunk of it is broken.')
        this.#digits = this.#extension = 0
        this.#expected = this.#left === 0 ? 'trailers' : 'data'
        return
      case 'data-cr':
        if (octet !== carriageReturn) throw new InvalidAnswer('A chunk of it is too long.')
        this.#expected = 'data-lf'
        return
      case 'data-lf':
        if (octet !== lineFeed) throw new InvalidAnswer('A chunk of it is too long.')
        this.#expected = 'size'
        return
      default:
    }
  }

  #readTrailers(data: Buffer, start: number, end: number): number {
    // Mostly there are none.
    if (this.#trailer === null && data[start] === carriageReturn && data[start + 1] === lineFeed) {
      if (start + 1 < end) {
        this.trailers = []
        return start + 2
      }
    }
    this.#trailer ??= new HeadReader(headBytes, '\r\n')
    const rest = this.#trailer.read(data, start, end)
    const { text } = this.#trailer
    if (text === null) return end
    this.trailers = parseFields(text, 2)
    return rest
  }
}

const [carriageReturn, lineFeed] = [13, 10]

function digitOf(octet: number): number {
  if (octet >= 48 && octet <= 57) return octet - 48
  const lower = octet | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}
