import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { join } from 'node:path'
import type { StateDirectory } from '../../home/state-directory.ts'
import { damagedLine, openJournal, readJournal } from '../../files/journal.ts'

/**
 * Replay nonces (RFC 8555 §6.5). Each is a number with a MAC, so that nothing is stored before a
 * nonce is used. A used nonce takes a single bit, so that none has to be forgotten. Every nonce can
 * be used once, even after a restart: some clients give up at badNonce.
 */
export interface Nonces {
  make(): string
  /** Whether a nonce was made here, used or not. */
  isOurs(nonce: string): boolean
  /** Uses up a nonce; `false` when it is not a nonce of this server, or was used before. */
  use(nonce: string): boolean
  /**
   * Makes a nonce good again that was used for what did not happen. A process that is killed first may
   * have used it up.
   */
  release(nonce: string): void
  saved(): Promise<void>
  close(): Promise<void>
}

/** The most numbers of a series: their bits take one MiB at most. */
const seriesLength = 0x80_0000
/**
 * The most series that are remembered. Each start of the server begins one, and so do each 8
 * million nonces.
 */
const seriesKept = 256
const macOctets = 16

/** Reads `acme/nonces` of the state directory. Throws `corrupt-state` with the line at fault. */
export async function openNonces(state: StateDirectory): Promise<Nonces> {
  const path = join(state.path, 'acme', 'nonces')
  let secret = randomBytes(32)
  const used = new Map<number, Buffer>()
  let read = 0
  for (const line of readJournal(path)) {
    read++
    const [word = '', number = '', bits] = line.split(' ')
    if (read === 1 && word === 'secret') secret = Buffer.from(number, 'base64url')
    else if (word === 'series' && bits !== undefined)
      used.set(Number(number), Buffer.from(bits, 'base64url'))
    else if (/^\d+$/.test(word) && /^\d+$/.test(number)) mark(used, Number(word), Number(number))
    else throw damagedLine(path, read)
  }
  let series = Math.max(0, ...used.keys()) + 1
  let next = 0
  used.set(series, Buffer.alloc(0))
  const journal = await openJournal({
    path,
    state,
    longest: () => 500_000,
    snapshot() {
      for (const old of used.keys()) if (old <= series - seriesKept) used.delete(old)
      const kept = [...used].map(
        ([number, bits]) => `series ${number} ${trimmed(bits).toString('base64url')}`,
      )
      return [`secret ${secret.toString('base64url')}`, ...kept]
    },
  })

  const macOf = (number: Buffer): Buffer =>
    createHmac('sha256', secret).update(number).digest().subarray(0, macOctets)
  // A request asks whether its nonce is ours, and mostly uses it in the same moment.
  let last: { nonce: string; number: [series: number, index: number] | null } | null = null
  /** Returns the series and the index of a nonce; `null`: it was not made here. */
  const parse = (nonce: string): [series: number, index: number] | null => {
    if (last?.nonce !== nonce) last = { nonce, number: verify(nonce) }
    return last.number
  }
  const verify = (nonce: string): [series: number, index: number] | null => {
    const octets = Buffer.from(nonce, 'base64url')
    if (octets.length !== 8 + macOctets || octets.toString('base64url') !== nonce) return null
    const number = octets.subarray(0, 8)
    if (!timingSafeEqual(macOf(number), octets.subarray(8))) return null
    return [number.readUInt32BE(), number.readUInt32BE(4)]
  }
  return {
    make() {
      if (next === seriesLength) {
        series++
        next = 0
        used.set(series, Buffer.alloc(0))
        journal.add(`series ${series} `)
      }
      const number = Buffer.alloc(8)
      number.writeUInt32BE(series)
      number.writeUInt32BE(next++, 4)
      return Buffer.concat([number, macOf(number)]).toString('base64url')
    },
    isOurs: (nonce) => parse(nonce) !== null,
    use(nonce) {
      const number = parse(nonce)
      if (number === null || !mark(used, ...number)) return false
      journal.add(number.join(' '))
      return true
    },
    release(nonce) {
      const [of, index] = parse(nonce) ?? [0, 0]
      const bits = used.get(of)
      if (bits === undefined) return
      bits[index >> 3] = (bits[index >> 3] ?? 0) & ~(1 << (index & 7))
      journal.add(`series ${of} ${trimmed(bits).toString('base64url')}`)
    },
    saved: () => journal.saved(),
    close: () => journal.close(),
  }
}

/** Marks a number as used; `false` when it was marked before, or its series is forgotten. */
function mark(used: Map<number, Buffer>, series: number, index: number): boolean {
  let bits = used.get(series)
  if (bits === undefined || index >= seriesLength) return false
  if (index >> 3 >= bits.length) {
    const longer = Buffer.alloc(Math.max(1024, 2 * bits.length, (index >> 3) + 1))
    bits.copy(longer)
    bits = longer
    used.set(series, bits)
  }
  const [octet, bit] = [bits[index >> 3] ?? 0, 1 << (index & 7)]
  if ((octet & bit) !== 0) return false
  bits[index >> 3] = octet | bit
  return true
}

function trimmed(bits: Buffer): Buffer {
  let end = bits.length
  while (end > 0 && bits[end - 1] === 0) end--
  return bits.subarray(0, end)
}
