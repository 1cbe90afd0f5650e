/** DER encoding (X.690): each function returns the complete encoding of one value. */

/** Encodes one value: its tag, its definite length, and `parts` in order as its contents. */
export function tlv(tag: number, ...parts: Uint8Array[]): Buffer {
  let length = 0
  for (const part of parts) length += part.length
  const head = length < 0x80 ? 2 : length < 0x100 ? 3 : length < 0x10000 ? 4 : 5
  if (length > 0xffffff) throw new RangeError('a DER value of more than 16 MiB')
  const out = Buffer.allocUnsafe(head + length)
  out[0] = tag
  if (head === 2) out[1] = length
  else {
    out[1] = 0x80 + head - 2
    out.writeUIntBE(length, 2, head - 2)
  }
  let offset = head
  for (const part of parts) {
    out.set(part, offset)
    offset += part.length
  }
  return out
}

export const sequence = (...parts: Uint8Array[]): Buffer => tlv(0x30, ...parts)
export const set = (...parts: Uint8Array[]): Buffer => tlv(0x31, ...parts)
export const octetString = (bytes: Uint8Array): Buffer => tlv(0x04, bytes)
export const utf8String = (text: string): Buffer => tlv(0x0c, Buffer.from(text, 'utf8'))
export const boolean = (value: boolean): Buffer => tlv(0x01, Buffer.of(value ? 0xff : 0))
/** `unusedBits` is how many bits of the last octet do not count: 0 except in a named bit list. */
export const bitString = (bytes: Uint8Array, unusedBits = 0): Buffer =>
  tlv(0x03, Buffer.of(unusedBits), bytes)
/** Encodes `[n] EXPLICIT`: a constructed value around complete encodings. */
export const explicit = (n: number, ...parts: Uint8Array[]): Buffer => tlv(0xa0 + n, ...parts)
/**
 * Encodes `[n] IMPLICIT` of a primitive type from its contents, without their own tag and length.
 */
export const implicit = (n: number, contents: Uint8Array): Buffer => tlv(0x80 + n, contents)

/**
 * Encodes a number, or big-endian octets, as an INTEGER that is never negative, in its shortest
 * form.
 */
export function integer(value: number | Uint8Array): Buffer {
  let bytes: Uint8Array
  if (typeof value === 'number') {
    const hex = value.toString(16)
    bytes = Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex')
  } else bytes = value
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start++
  bytes = bytes.subarray(start)
  return ((bytes[0] ?? 0) & 0x80) === 0 ? tlv(0x02, bytes) : tlv(0x02, Buffer.of(0), bytes)
}

/**
 * Encodes an OBJECT IDENTIFIER given in dotted form. Its first two arcs become one number; each
 * number is written in base 128.
 */
export function objectIdentifier(dotted: string): Buffer {
  const arcs = dotted.split('.')
  const octets: number[] = []
  for (let i = 1; i < arcs.length; i++) {
    let arc = i === 1 ? 40 * Number(arcs[0]) + Number(arcs[1]) : Number(arcs[i])
    let place = 1
    while (place * 128 <= arc) place *= 128
    for (; place > 1; place /= 128) {
      octets.push(128 + Math.floor(arc / place))
      arc %= place
    }
    octets.push(arc)
  }
  return tlv(0x06, Buffer.from(octets))
}

/**
 * Encodes a date in whole seconds: UTCTime before 2050, GeneralizedTime from then on (RFC 5280
 * §4.1.2.5).
 */
export function time(date: Date): Buffer {
  const text = `${date.toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`
  return date.getUTCFullYear() < 2050
    ? tlv(0x17, Buffer.from(text.slice(2), 'latin1'))
    : tlv(0x18, Buffer.from(text, 'latin1'))
}

/**
 * Encodes the positions of set bits as a BIT STRING without trailing zeros (X.690 §11.2.2). Bit 0
 * is the leftmost.
 */
export function namedBits(bits: readonly number[]): Buffer {
  const highest = Math.max(...bits)
  const bytes = Buffer.alloc(Math.floor(highest / 8) + 1)
  for (const bit of bits) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7))
  return bitString(bytes, 7 - (highest & 7))
}
