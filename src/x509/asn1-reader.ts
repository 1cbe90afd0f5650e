import { isUtf8 } from 'node:buffer'
import { RootlingError } from '../errors.ts'

/**
 * One value of a DER encoding. Its buffers are slices of the original bytes, each made when it is
 * asked for.
 */
export class DerValue {
  readonly tagClass: TagClass
  readonly tag: number
  readonly constructed: boolean
  /** The values in a constructed value; empty for a primitive one. */
  readonly children: readonly DerValue[]
  private readonly bytes: Buffer
  private readonly at: number
  private readonly header: Header

  constructor(bytes: Buffer, at: number, header: Header) {
    this.tagClass = header.tagClass
    this.tag = header.tag
    this.constructed = header.constructed
    this.children = header.children
    this.bytes = bytes
    this.at = at
    this.header = header
  }

  /** The contents, without tag and length. */
  get contents(): Buffer {
    return this.bytes.subarray(this.header.start, this.header.end)
  }

  /**
   * The whole value with tag and length. These are the original bytes, which signatures cover and
   * by which names are compared.
   */
  get der(): Buffer {
    return this.bytes.subarray(this.at, this.header.end)
  }
}

const tagClasses = ['universal', 'application', 'context', 'private'] as const
type TagClass = (typeof tagClasses)[number]

export interface DerLimits {
  readonly bytes: number
  /** How deep values may be nested within values. */
  readonly depth: number
  /** How many values there may be in all. */
  readonly values: number
}

export const derLimits: DerLimits = { bytes: 0x10_0000, depth: 32, values: 100_000 }

/**
 * Reads foreign bytes as one DER value (X.690 §10): definite lengths in their shortest form,
 * nothing behind the value. The contents of octet strings and bit strings are not parsed. `what`
 * begins the sentence of the error, such as "The request". Throws `bad-der`.
 */
export function readDer(bytes: Buffer, what: string, limits: Partial<DerLimits> = {}): DerValue {
  const { bytes: maximum, depth, values } = { ...derLimits, ...limits }
  if (bytes.length === 0) throw notDer(what, 'it is empty')
  if (bytes.length > maximum)
    throw tooLarge(what, `it has ${bytes.length} bytes, and ${maximum} are the limit`)
  const top: DerValue[] = []
  const open: { end: number; children: DerValue[] }[] = [{ end: bytes.length, children: top }]
  let at = 0
  // A loop, not a recursion, because the sender chooses the depth.
  for (let count = 1; ; count++) {
    if (count > values) throw tooLarge(what, `it holds more than ${values} values`)
    const parent = open.at(-1) ?? { end: 0, children: [] }
    const header = readHeader(bytes, at, parent.end, what)
    parent.children.push(new DerValue(bytes, at, header))
    if (header.constructed) {
      if (open.length >= depth) throw tooLarge(what, `it is nested more than ${depth} deep`)
      open.push(header)
    }
    at = header.constructed ? header.start : header.end
    while (open.length > 1 && at === open.at(-1)?.end) open.pop()
    if (open.length === 1) break
  }
  if (at !== bytes.length) throw notDer(what, `${bytes.length - at} bytes follow its end`)
  return top[0] as DerValue
}

interface Header {
  readonly tagClass: TagClass
  readonly tag: number
  readonly constructed: boolean
  readonly children: DerValue[]
  /** Offsets of the contents. */
  readonly start: number
  readonly end: number
}

function readHeader(bytes: Buffer, at: number, limit: number, what: string): Header {
  if (limit - at < 2) throw notDer(what, 'it is cut off', at)
  const identifier = bytes.readUInt8(at)
  const tag = identifier & 0x1f
  const constructed = (identifier & 0x20) !== 0
  const tagClass = tagClasses[identifier >> 6] ?? 'universal'
  if (tag === 0x1f) throw notDer(what, 'a tag number is above 30', at)
  if (tagClass === 'universal') {
    if (tag === 0) throw notDer(what, 'a value has no type', at)
    // A string encoded in several pieces, for example, is BER and not DER.
    if (constructed !== constructedTypes.has(tag))
      throw notDer(what, 'a value has the wrong form', at)
  }
  const first = bytes.readUInt8(at + 1)
  const start = first < 0x80 ? at + 2 : at + 2 + (first & 0x7f)
  const length = first < 0x80 ? first : longLength(bytes, at, start, limit, what)
  if (length > limit - start) throw notDer(what, 'it is cut off, or a length is wrong', at)
  return { tagClass, tag, constructed, children: [], start, end: start + length }
}

/** The universal types that are always constructed: EXTERNAL, EMBEDDED PDV, SEQUENCE and SET. */
const constructedTypes: ReadonlySet<number> = new Set([8, 11, 16, 17])

/**
 * Reads a length of 128 or more (X.690 §8.1.3.5): the second octet of the value says how many
 * octets hold the length.
 */
function longLength(bytes: Buffer, at: number, start: number, limit: number, what: string): number {
  const octets = start - at - 2
  if (octets === 0) throw notDer(what, 'a length is indefinite, which only BER allows', at)
  if (start > limit) throw notDer(what, 'it is cut off', at)
  if (bytes[at + 2] === 0) throw notDer(what, 'a length is not in its shortest form', at)
  if (octets > 4) throw notDer(what, 'a length is beyond 4 GiB', at)
  const length = bytes.readUIntBE(at + 2, octets)
  if (length < 0x80) throw notDer(what, 'a length is not in its shortest form', at)
  return length
}

const hint = 'openssl asn1parse -inform DER -in FILE'

function notDer(what: string, fault: string, at?: number): RootlingError {
  const where = at === undefined ? '' : ` (at byte ${at})`
  return new RootlingError('bad-der', `${what} is not valid DER: ${fault}${where}.`, { hint })
}

function tooLarge(what: string, fault: string): RootlingError {
  return new RootlingError('bad-der', `${what} is larger than anything real: ${fault}.`, { hint })
}

/** Returns the `bad-der` error for DER that is well formed but does not hold what it should. */
export function unexpected(what: string, wanted: string): RootlingError {
  return new RootlingError('bad-der', `${what} does not hold ${wanted} where one belongs.`, {
    hint,
  })
}

/** Whether a value has the tag `[n]` of the context-specific class. */
export const isContext = (value: DerValue | undefined, n: number): value is DerValue =>
  value?.tagClass === 'context' && value.tag === n

/** Whether a value is of the universal type `tag`: 2 INTEGER, 3 BIT STRING, 16 SEQUENCE, …. */
export const isUniversal = (value: DerValue | undefined, tag: number): value is DerValue =>
  value?.tagClass === 'universal' && value.tag === tag

function expectType(value: DerValue | undefined, tag: number, what: string, wanted: string) {
  if (!isUniversal(value, tag)) throw unexpected(what, wanted)
  return value
}

/*
 * Each function below takes a value, which may be absent, and the beginning of the error's
 * sentence. It throws `bad-der` for an absent value and for anything but the named type in DER.
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

/** The value in `[n] EXPLICIT`. */
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

/** The value of an INTEGER, which may be negative. */
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
  const { bits, strayed } = readNamedBits(value, what)
  // The unused bits must be zero (X.690 §11.2.1).
  if (strayed) throw unexpected(what, 'a list of bits in DER')
  return bits
}

/** Reads a named bit list as BER allows it; `strayed`: bits are set that it says are unused. */
export function readNamedBits(
  value: DerValue | undefined,
  what: string,
): { readonly bits: number[]; readonly strayed: boolean } {
  const { contents } = expectType(value, 3, what, 'a bit string')
  const unused = contents[0] ?? 8
  if (unused > 7 || (unused > 0 && contents.length === 1) || contents.length > 5)
    throw unexpected(what, 'a short list of bits')
  const last = contents.length > 1 ? (contents.at(-1) ?? 0) : 0
  const strayed = (last & ((1 << unused) - 1)) !== 0
  const bits: number[] = []
  for (let bit = 0; bit < (contents.length - 1) * 8 - unused; bit++)
    if (((contents[1 + (bit >> 3)] ?? 0) & (0x80 >> (bit & 7))) !== 0) bits.push(bit)
  return { bits, strayed }
}

/** An OBJECT IDENTIFIER in dotted form. An arc may have any size, the whole at most 128 octets. */
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
