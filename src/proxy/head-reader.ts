import { InvalidAnswer } from './answer-head.ts'

const end = '\r\n\r\n'

/** Collects the octets of a head until the empty line at its end. */
export class HeadReader {
  /** The head without the empty line, each octet as one character, once it is whole. */
  text: string | null = null
  readonly #most: number
  #held: Buffer | null = null
  #length = 0

  /** `most`: how many octets are read at the most. `before`: what was read before, as trailers need. */
  constructor(most: number, before = '') {
    this.#most = most
    if (before !== '') this.#hold(Buffer.from(before, 'latin1'), 0, before.length)
  }

  /**
   * Reads octets from `start` to `stop`; returns where what follows the head begins. Throws
   * InvalidAnswer for a head that is too long, or has a line that LF alone ends: its end would never
   * come.
   */
  read(data: Buffer, start: number, stop: number): number {
    if (this.#length === 0) {
      const found = data.indexOf(end, start, 'latin1')
      if (found !== -1 && found + end.length <= stop) {
        if (found - start > this.#most) throw tooLong()
        this.text = data.toString('latin1', start, found)
        return found + end.length
      }
    }
    const before = this.#length
    this.#hold(data, start, Math.min(stop, start + this.#most + 1))
    const held = this.#held as Buffer
    const found = held.indexOf(end, Math.max(0, before - 3), 'latin1')
    if (found !== -1 && found + end.length <= this.#length) {
      this.text = held.toString('latin1', 0, found)
      this.#held = null
      return start + found + end.length - before
    }
    if (this.#length > this.#most) throw tooLong()
    for (let i = before; i < this.#length; i++)
      if (held[i] === 10 && held[i - 1] !== 13)
        throw new InvalidAnswer('A line of its head does not end with CRLF.')
    return stop
  }

  /** What came so far of a head that is not whole. */
  beginning(): string {
    return this.#held?.toString('latin1', 0, Math.min(this.#length, 8)) ?? ''
  }

  #hold(data: Buffer, start: number, stop: number): void {
    const needed = this.#length + stop - start
    if (this.#held === null || this.#held.length < needed) {
      const larger = Buffer.allocUnsafeSlow(Math.max(512, 2 * needed))
      this.#held?.copy(larger, 0, 0, this.#length)
      this.#held = larger
    }
    data.copy(this.#held, this.#length, start, stop)
    this.#length = needed
  }
}

const tooLong = (): InvalidAnswer => new InvalidAnswer('Its head is too long.')
