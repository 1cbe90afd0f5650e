import * as fc from 'fast-check'
import nodeForge from 'node-forge'
import { expect, test } from 'vitest'
import * as der from '../../src/x509/asn1.ts'

const forge = nodeForge.asn1
type Node = ReturnType<typeof forge.fromDer>

/** What node-forge, another implementation, reads: tag, class and octets. */
function read(bytes: Uint8Array): Node {
  return forge.fromDer(Buffer.from(bytes).toString('latin1'), true)
}
function contents(node: Node): Buffer {
  if (typeof node.value !== 'string') throw new Error('not primitive')
  return Buffer.from(node.value, 'latin1')
}
function children(node: Node): Node[] {
  if (typeof node.value === 'string') throw new Error('not constructed')
  return node.value
}

test.each([0, 1, 127, 128, 255, 256, 65_535, 65_536, 70_000])(
  'a value of %i octets has the shortest length that reads back',
  (length) => {
    const encoded = der.octetString(Buffer.alloc(length, 7))
    expect(contents(read(encoded))).toHaveLength(length)
    const lengthOctets = length < 128 ? 1 : length < 256 ? 2 : length < 65_536 ? 3 : 4
    expect(encoded).toHaveLength(1 + lengthOctets + length)
  },
)

test('a value of more than 16 MiB is refused rather than written wrongly', () => {
  expect(() => der.octetString(Buffer.alloc(0x1000000))).toThrow(RangeError)
})

test('an integer from octets is minimal, positive and reads back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (bytes) => {
      const octets = contents(read(der.integer(bytes)))
      const value = BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
      expect(BigInt(`0x${octets.toString('hex')}`)).toBe(value)
      expect((octets[0] ?? 0) & 0x80).toBe(0)
      if (octets.length > 1 && octets[0] === 0) expect((octets[1] ?? 0) & 0x80).toBe(0x80)
    }),
  )
})

test('an integer from a number is the same as from its octets', () => {
  fc.assert(
    fc.property(fc.nat(), (value) => {
      const octets = Buffer.alloc(4)
      octets.writeUInt32BE(value)
      expect(der.integer(value)).toEqual(der.integer(octets))
    }),
  )
})

test.each([
  [0, '020100'],
  [127, '02017f'],
  [128, '02020080'],
  [255, '020200ff'],
  [256, '02020100'],
])('%i is encoded as %s', (value, hex) => {
  expect(der.integer(value).toString('hex')).toBe(hex)
})

test('an object identifier reads back as the one that was written', () => {
  const arcs = fc.array(fc.nat(0xffffff), { minLength: 1, maxLength: 10 })
  const below = fc.oneof(
    fc.tuple(fc.constantFrom(0, 1), fc.nat(39)),
    fc.tuple(fc.constant(2), fc.nat(47)),
  )
  fc.assert(
    fc.property(below, arcs, ([first, second], rest) => {
      const dotted = [first, second, ...rest].join('.')
      const octets = contents(read(der.objectIdentifier(dotted)))
      expect(forge.derToOid(octets.toString('latin1'))).toBe(dotted)
    }),
  )
})

test('an object identifier may begin above 2.47, and have arcs of more than 32 bits', () => {
  expect(der.objectIdentifier('2.999').toString('hex')).toBe('06028837')
  // A UUID's first 53 bits are what a number holds exactly.
  expect(der.objectIdentifier('2.25.9007199254740991').toString('hex')).toBe(
    '0609698fffffffffffff7f',
  )
})

test.each([
  ['2049-12-31T23:59:59.999Z', 0x17, '491231235959Z'],
  ['2050-01-01T00:00:00.000Z', 0x18, '20500101000000Z'],
  ['1950-01-01T00:00:00.000Z', 0x17, '500101000000Z'],
  ['2026-02-03T04:05:06.000Z', 0x17, '260203040506Z'],
  ['9999-12-31T23:59:59.000Z', 0x18, '99991231235959Z'],
])('%s is a time of tag %i, %s', (iso, tag, text) => {
  const encoded = der.time(new Date(iso))
  expect(encoded[0]).toBe(tag)
  expect(contents(read(encoded)).toString('latin1')).toBe(text)
})

test('a time between 1950 and 9999 reads back to the second', () => {
  const range = { min: new Date('1950-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }
  fc.assert(
    fc.property(fc.date(range), (date) => {
      const node = read(der.time(date))
      const text = contents(node).toString('latin1')
      const back =
        node.type === forge.Type.UTCTIME
          ? forge.utcTimeToDate(text)
          : forge.generalizedTimeToDate(text)
      expect(back.getTime()).toBe(Math.floor(date.getTime() / 1000) * 1000)
    }),
  )
})

test('structures nest as they were written', () => {
  const text = 'Größe'
  const root = read(
    der.sequence(
      der.boolean(true),
      der.boolean(false),
      der.set(der.utf8String(text)),
      der.explicit(3, der.integer(5)),
      der.implicit(2, Buffer.from('localhost')),
      der.sequence(),
    ),
  )
  const [yes, no, set, tagged, name, empty] = children(root)
  if (!yes || !no || !set || !tagged || !name || !empty) throw new Error('too few children')
  expect([contents(yes)[0], contents(no)[0]]).toEqual([0xff, 0])
  expect(children(set).map((node) => contents(node).toString('utf8'))).toEqual([text])
  expect([tagged.tagClass, tagged.type]).toEqual([forge.Class.CONTEXT_SPECIFIC, 3])
  expect(contents(children(tagged)[0] ?? root)).toEqual(Buffer.of(5))
  expect([name.tagClass, name.type]).toEqual([forge.Class.CONTEXT_SPECIFIC, 2])
  expect(contents(name).toString()).toBe('localhost')
  expect(children(empty)).toEqual([])
})

test.each([
  [[0], '03020780'],
  [[0, 2], '030205a0'],
  [[5, 6], '03020106'],
  [[7], '03020001'],
  [[8], '0303070080'],
])('named bits %j are %s, without trailing zeros', (bits, hex) => {
  expect(der.namedBits(bits).toString('hex')).toBe(hex)
})
