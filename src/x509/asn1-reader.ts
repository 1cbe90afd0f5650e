import { isUtf8 } from 'node:buffer'
import { RootlingError } from '../errors.ts'

/** One value of a DER encoding. The buffers are slices of the original bytes, not copies. */
export interface DerValue {
  readonly tagClass: TagClass
  readonly tag: number
  readonly constructed: boolean
  /** Of a constructed value; empty for a primitive one. */
  readonly children: readonly DerValue[]
  /** Without tag and length. */
  readonly contents: Buffer
  /** With tag and length, as it stood: what signatures cover and names are compared by. */
  readonly der: Buffer
}

const tagClasses = ['universal', 'application', 'context', 'private'] as const
type TagClass = (typeof tagClasses)[number]

export interface DerLimits {
  readonly bytes: number
  /** Values within values. */
  readonly depth: number
  /** Values in all. */
  readonly values: number
}

export const derLimits: DerLimits = { bytes: 0x10_0000, depth: 32, values: 100_000 }

/**
 * Reads foreign bytes as one DER value (X.690 §10): definite lengths in their shortest form,
 * nothing behind the value. What octet strings and bit strings hold is not looked into. `what`
 * begins the sentence of the error, such as "The request". Throws `bad-der`.
 */
export function readDer(bytes: Buffer, what: string, limits: Partial<DerLimits> = {}): DerValue {
  const { bytes: most, depth, values } = { ...derLimits, ...limits }
  if (bytes.length === 0) throw notDer(what, 'it is empty')
  if (bytes.length > most)
    throw tooLarge(what, `it has ${bytes.length} bytes, and ${most} are the limit`)
  const top: DerValue[] = []
  const open: { end: number; children: DerValue[] }[] = [{ end: bytes.length, children: top }]
  let at = 0
  // A loop and not a recursion: the depth is the sender's choice.
  for (let count = 1; ; count++) {
    if (count > values) throw tooLarge(what, `it holds more than ${values} values`)
    const around = open.at(-1) ?? { end: 0, children: [] }
    const { children, end, start, ...tag } = readHeader(bytes, at, around.end, what)
    const [contents, der] = [bytes.subarray(start, end), bytes.subarray(at, end)]
    around.children.push({ ...tag, children, contents, der })
    if (tag.constructed) {
      if (open.length >= depth) throw tooLarge(what, `it is nested more than ${depth} deep`)
      open.push({ end, children })
    }
    at = tag.constructed ? start : end
    while (open.length > 1 && at === open.at(-1)?.end) open.pop()
    if (open.length === 1) break
  }
  if (at !== bytes.length) throw notDer(what, `${bytes.length - at} bytes follow its end`)
  return top[0] as DerValue
}

interface Header extends Pick<DerValue, 'tagClass' | 'tag' | 'constructed'> {
  readonly children: DerValue[]
  /** Where the contents start and end. */
  readonly start: number
  readonly end: number
}

function readHeader(bytes: Buffer, at: number, limit: number, what: string): Header {
  const broken = (fault: string) => notDer(what, `${fault} (at byte ${at})`)
  if (limit - at < 2) throw broken('it is cut off')
  const identifier = bytes.readUInt8(at)
  const tag = identifier & 0x1f
  const constructed = (identifier & 0x20) !== 0
  const tagClass = tagClasses[identifier >> 6] ?? 'universal'
  if (tag === 0x1f) throw broken('a tag number is above 30')
  if (tagClass === 'universal') {
    if (tag === 0) throw broken('a value has no type')
    // SEQUENCE, SET, EXTERNAL and EMBEDDED PDV; a string in pieces is BER.
    if (constructed !== [8, 11, 16, 17].includes(tag)) throw broken('a value has the wrong form')
  }
  const { length, start } = readLength(bytes, at + 1, limit, broken)
  if (length > limit - start) throw broken('it is cut off, or a length is wrong')
  return { tagClass, tag, constructed, children: [], start, end: start + length }
}

function readLength(
  bytes: Buffer,
  at: number,
  limit: number,
  broken: (fault: string) => RootlingError,
): { length: number; start: number } {
  const first = bytes.readUInt8(at)
  if (first < 0x80) return { length: first, start: at + 1 }
  if (first === 0x80) throw broken('a length is indefinite, which only BER allows')
  const octets = first & 0x7f
  const start = at + 1 + octets
  if (start > limit) throw broken('it is cut off')
  if (bytes[at + 1] === 0) throw broken('a length is not in its shortest form')
  if (octets > 4) throw broken('a length is beyond 4 GiB')
  const length = bytes.readUIntBE(at + 1, octets)
  if (length < 0x80) throw broken('a length is not in its shortest form')
  return { length, start }
}

const hint = 'openssl asn1parse -inform DER -in FILE'

function notDer(what: string, fault: string): RootlingError {
  return new RootlingError('bad-der', `${what} is not valid DER: ${fault}.`, { hint })
}

function tooLarge(what: string, fault: string): RootlingError {
  return new RootlingError('bad-der', `${what} is larger than anything real: ${fault}.`, { hint })
}

/** The error for DER that is well formed but not what it should be. */
export function unexpected(what: string, wanted: string): RootlingError {
  return new RootlingError('bad-der', `${what} does not hold ${wanted} where one belongs.`, {
    hint,
  })
}

/** Whether it is a `[n]` of the context-specific class. */
export const isContext = (value: DerValue | undefined, n: number): value is DerValue =>
  value?.tagClass === 'context' && value.tag === n

/** Whether it has a type of the universal class (2 INTEGER, 3 BIT STRING, 16 SEQUENCE, …). */
export const isUniversal = (value: DerValue | undefined, tag: number): value is DerValue =>
  value?.tagClass === 'universal' && value.tag === tag

function expectType(value: DerValue | undefined, tag: number, what: string, wanted: string) {
  if (!isUniversal(value, tag)) throw unexpected(what, wanted)
  return value
}

/*
 * Each of these takes a value that may be absent and what the sentence begins with, and throws
 * `bad-der` for anything but its type in DER.
 */

/** The members of a SEQUENCE. */
export const expectSequence = (value: DerValue | undefined, what: string): readonly DerValue[] =>
  expectType(value, 16, what, 'a sequence').children

/** The members of a SET. */
export const expectSet = (value: DerValue | undefined, what: string): readonly DerValue[] =>
  expectType(value, 17, what, 'a set').children

/** The octets of an OCTET STRING. */
export const expectOctets = (value: DerValue | undefined, what: string): Buffer =>
  expectType(value, 4, what, 'an octet string').contents

/** What stands in `[n] EXPLICIT`: exactly one value. */
export function expectExplicit(value: DerValue | undefined, n: number, what: string): DerValue {
  const only = isContext(value, n) && value.children.length === 1 ? value.children[0] : undefined
  if (only === undefined) throw unexpected(what, `one tagged value [${n}]`)
  return only
}

export function expectBoolean(value: DerValue | undefined, what: string): boolean {
  const { contents } = expectType(value, 1, what, 'a boolean')
  if (contents.length !== 1 || (contents[0] !== 0 && contents[0] !== 0xff))
    throw unexpected(what, 'a boolean in DER')
  return contents[0] === 0xff
}

/** An INTEGER, negative ones too. */
export function expectInteger(value: DerValue | undefined, what: string): bigint {
  const { contents } = expectType(value, 2, what, 'an integer')
  const [first, second] = contents
  const padded = second !== undefined && first === (second & 0x80 ? 0xff : 0)
  if (first === undefined || padded) throw unexpected(what, 'an integer in its shortest form')
  return BigInt.asIntN(contents.length * 8, BigInt(`0x${contents.toString('hex')}`))
}

/** The bits of a BIT STRING that has only whole octets, as keys and signatures do. */
export function expectBits(value: DerValue | undefined, what: string): Buffer {
  const { contents } = expectType(value, 3, what, 'a bit string')
  if (contents[0] !== 0) throw unexpected(what, 'a bit string of whole octets')
  return contents.subarray(1)
}

/** The positions of the bits that are set in a named bit list, such as keyUsage. */
export function expectNamedBits(value: DerValue | undefined, what: string): number[] {
  const { contents } = expectType(value, 3, what, 'a bit string')
  const unused = contents[0] ?? 8
  if (unused > 7 || (unused > 0 && contents.length === 1) || contents.length > 5)
    throw unexpected(what, 'a short list of bits')
  // X.690 §11.2.1.
  if (((contents.at(-1) ?? 0) & ((1 << unused) - 1)) !== 0 && contents.length > 1)
    throw unexpected(what, 'a list of bits in DER')
  const bits: number[] = []
  for (let bit = 0; bit < (contents.length - 1) * 8 - unused; bit++)
    if (((contents[1 + (bit >> 3)] ?? 0) & (0x80 >> (bit & 7))) !== 0) bits.push(bit)
  return bits
}

/** An OBJECT IDENTIFIER in dotted form; arcs of any size within 128 octets. */
export function expectOid(value: DerValue | undefined, what: string): string {
  const { contents } = expectType(value, 6, what, 'an object identifier')
  const arcs: bigint[] = []
  let arc = 0n
  let fresh = true
  for (const octet of contents.subarray(0, 128)) {
    if (fresh && octet === 0x80) throw unexpected(what, 'an object identifier in DER')
    arc = (arc << 7n) | BigInt(octet & 0x7f)
    fresh = octet < 0x80
    if (!fresh) continue
    arcs.push(arc)
    arc = 0n
  }
  const [first, ...rest] = arcs
  if (first === undefined || !fresh || contents.length > 128)
    throw unexpected(what, 'a whole object identifier')
  const root = first < 40n ? 0n : first < 80n ? 1n : 2n
  return [root, first - root * 40n, ...rest].join('.')
}

/** A character string of any type that a name may have (RFC 5280 §4.1.2.4). */
export function expectText(value: DerValue | undefined, what: string): string {
  const { tag, contents } = value?.tagClass === 'universal' ? value : { tag: 0, contents: null }
  if (contents !== null && tag === 12 && isUtf8(contents)) return contents.toString('utf8')
  // PrintableString, TeletexString, IA5String.
  if (contents !== null && [19, 20, 22].includes(tag)) return contents.toString('latin1')
  if (contents !== null && tag === 30 && contents.length % 2 === 0)
    return Buffer.from(contents).swap16().toString('utf16le')
  throw unexpected(what, 'text')
}
