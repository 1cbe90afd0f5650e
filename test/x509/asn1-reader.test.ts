import * as fc from 'fast-check'
import { asn1 as forge } from 'node-forge'
import { expect, test, vi } from 'vitest'
import { RootlingError } from '../../src/errors.ts'
import {
  derLimits,
  expectBits,
  expectBoolean,
  expectExplicit,
  expectInteger,
  expectNamedBits,
  expectOctets,
  expectOid,
  expectSequence,
  expectSet,
  expectText,
  readDer,
  type DerValue,
} from '../../src/x509/asn1-reader.ts'
import * as der from '../../src/x509/asn1.ts'

const numRuns = Number(process.env['ROOTLING_FUZZ_RUNS'] ?? 5000)
vi.setConfig({ testTimeout: 120_000 + numRuns * 50 })
const what = 'The request'
const read = (bytes: Uint8Array) => readDer(Buffer.from(bytes), what)
const hex = (text: string) => read(Buffer.from(text.replaceAll(' ', ''), 'hex'))

const leaf = fc.oneof(
  fc.integer({ min: 0, max: 2 ** 40 }).map((n) => der.integer(n)),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => der.octetString(bytes)),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => der.bitString(bytes)),
  fc.string().map((text) => der.utf8String(text)),
  fc.boolean().map((value) => der.boolean(value)),
)
const { tree } = fc.letrec<{ tree: Buffer }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5 },
    leaf,
    fc
      .tuple(fc.constantFrom(0x30, 0x31, 0xa0, 0xa3), fc.array(tie('tree'), { maxLength: 5 }))
      .map(([tag, parts]) => der.tlv(tag, ...parts)),
  ),
}))

test('what was written is read back, and every slice is where it stood', () => {
  const check = (value: DerValue): void => {
    const { contents, der: whole, children } = value
    expect(whole.subarray(whole.length - contents.length)).toEqual(contents)
    if (value.constructed)
      expect(Buffer.concat(children.map((child) => child.der))).toEqual(contents)
    children.forEach(check)
  }
  fc.assert(
    fc.property(tree, (bytes) => {
      const value = readDer(bytes, what)
      expect(value.der).toEqual(bytes)
      expect(value.der.buffer).toBe(bytes.buffer)
      check(value)
    }),
  )
})

// Its types know neither strings nor options here.
const forgeRead = forge.fromDer as unknown as (bytes: string, options: object) => forge.Asn1

test('node-forge, another reader, sees the same tree', () => {
  const same = (value: DerValue, node: forge.Asn1 | undefined): void => {
    expect([value.tag, value.constructed]).toEqual([node?.type, node?.constructed])
    const inside = node?.value ?? ''
    if (typeof inside === 'string') expect(value.contents).toEqual(Buffer.from(inside, 'latin1'))
    else {
      expect(value.children).toHaveLength(inside.length)
      value.children.forEach((child, i) => same(child, inside[i]))
    }
  }
  fc.assert(
    fc.property(tree, (bytes) => {
      const options = { strict: true, decodeBitStrings: false }
      same(readDer(bytes, what), forgeRead(bytes.toString('latin1'), options))
    }),
  )
})

test('any bytes give a value or one kind of error', () => {
  const mutated = fc
    .tuple(tree, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.nat())
    .map(([bytes, edits, cut]) => {
      const out = Buffer.from(bytes)
      for (const [at, octet] of edits) if (out.length > 0) out[at % out.length] = octet
      return cut % 3 === 0 ? out.subarray(0, cut % (out.length + 1)) : out
    })
  const anything = fc.oneof(
    mutated,
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  )
  const helpers = [expectBits, expectBoolean, expectInteger, expectNamedBits, expectOctets]
  const more = [expectOid, expectSequence, expectSet, expectText]
  const visit = (value: DerValue): void => {
    for (const helper of [...helpers, ...more]) onlyOurs(() => helper(value, what))
    onlyOurs(() => expectExplicit(value, 0, what))
    value.children.forEach(visit)
  }
  fc.assert(
    fc.property(anything, (bytes) => onlyOurs(() => visit(readDer(bytes, what)))),
    { numRuns },
  )
  expect.hasAssertions()
})

function onlyOurs(body: () => unknown): void {
  try {
    body()
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    expect(error.code).toBe('bad-der')
    expect(error.message).toMatch(/^The request .*\.$/)
  }
}

test.each([
  ['', 'it is empty'],
  ['30', 'it is cut off'],
  ['3005 020101', 'it is cut off, or a length is wrong'],
  ['3003 020201', 'it is cut off, or a length is wrong'],
  ['3004 0202 01', 'it is cut off'],
  ['3003 020101 00', '1 bytes follow its end'],
  ['3080 0000', 'a length is indefinite'],
  ['3081 03 020101', 'shortest form'],
  ['3082 0003 020101', 'shortest form'],
  ['3084 ffffffff', 'it is cut off, or a length is wrong'],
  ['3085 0100000000', 'a length is beyond 4 GiB'],
  [`30ff ${'ff'.repeat(127)}`, 'a length is beyond 4 GiB'],
  ['30ff', 'it is cut off'],
  ['1f8101 00', 'a tag number is above 30'],
  ['0000', 'a value has no type'],
  ['1000', 'a value has the wrong form'],
  ['2403 040101', 'a value has the wrong form'],
])('%s is refused: %s', (text, fault) => {
  expect(() => hex(text)).toThrow(expect.objectContaining({ code: 'bad-der' }))
  expect(() => hex(text)).toThrow(fault)
})

function nested(depth: number): Buffer {
  let bytes = der.integer(1)
  for (let i = 1; i < depth; i++) bytes = der.sequence(bytes)
  return bytes
}

test('32 values within each other are read, 33 and a megabyte of them refused', () => {
  expect(read(nested(32)).constructed).toBe(true)
  expect(() => read(nested(33))).toThrow('nested more than 32 deep')
  const lengths: Buffer[] = []
  for (let left = 1_000_000; left > 0; left -= 5) {
    const head = Buffer.from('3083000000', 'hex')
    head.writeUIntBE(Math.max(left - 5, 0x10000), 2, 3)
    lengths.push(head)
  }
  expect(() => read(Buffer.concat(lengths))).toThrow(RootlingError)
})

test('size and number of values are bounded, and the caller may lower or raise both', () => {
  const big = der.octetString(Buffer.alloc(derLimits.bytes))
  expect(() => read(big)).toThrow('are the limit')
  expect(readDer(big, what, { bytes: big.length }).tag).toBe(4)
  const many = der.sequence(Buffer.alloc(400_000, Buffer.from('0500', 'hex')))
  expect(() => read(many)).toThrow('more than 100000 values')
  expect(readDer(many, what, { values: 200_001 }).children).toHaveLength(200_000)
})

test.each([
  ['020100', 0n],
  ['02017f', 127n],
  ['02020080', 128n],
  ['020180', -128n],
  ['0201ff', -1n],
  ['0202ff7f', -129n],
  ['0209010000000000000000', 2n ** 64n],
])('%s is the integer %s', (text, value) => {
  expect(expectInteger(hex(text), what)).toBe(value)
})

test.each(['0200', '02020001', '0202ff80', '0202ffff'])('%s is no integer in DER', (text) => {
  expect(() => expectInteger(hex(text), what)).toThrow('an integer in its shortest form')
})

test.each(['1.2.840.113549.1.1.11', '2.5.29.17', '0.9.2342', '2.999.3', '2.25.9007199254740991'])(
  'the object identifier %s is read back',
  (dotted) => expect(expectOid(read(der.objectIdentifier(dotted)), what)).toBe(dotted),
)

test('an arc of more than 64 bits is exact; one of a megabyte is refused at once', () => {
  expect(expectOid(hex('060c 69 8280808080808080808000'), what)).toBe(
    `2.25.${(2n * 128n ** 10n).toString()}`,
  )
  const long = der.tlv(6, Buffer.alloc(900_000, 0xff), Buffer.of(1))
  expect(() => expectOid(read(long), what)).toThrow('a whole object identifier')
})

test.each(['0600', '06022a86', '06028001'])('%s is no object identifier', (text) => {
  expect(() => expectOid(hex(text), what)).toThrow('object identifier')
})

test('bits, octets, booleans, text and tags are what they are, and nothing else', () => {
  expect(expectNamedBits(read(der.namedBits([0, 8])), what)).toEqual([0, 8])
  expect(expectBits(read(der.bitString(Buffer.of(1, 2))), what)).toEqual(Buffer.of(1, 2))
  expect(() => expectBits(read(der.bitString(Buffer.of(1), 3)), what)).toThrow('whole octets')
  expect(expectBoolean(read(der.boolean(true)), what)).toBe(true)
  expect(() => expectBoolean(hex('010101'), what)).toThrow('a boolean in DER')
  expect(expectOctets(read(der.octetString(Buffer.of(9))), what)).toEqual(Buffer.of(9))
  expect(expectText(read(der.utf8String('Größe')), what)).toBe('Größe')
  expect(expectText(hex('1e04 00e400f6'), what)).toBe('äö')
  expect(() => expectText(hex('1e03 00e400'), what)).toThrow('text')
  expect(expectExplicit(read(der.explicit(3, der.integer(5))), 3, what).tag).toBe(2)
  expect(() => expectExplicit(read(der.explicit(3)), 3, what)).toThrow('one tagged value [3]')
  expect(expectSet(read(der.set()), what)).toEqual([])
  expect(() => expectSequence(read(der.set()), what)).toThrow(
    'The request does not hold a sequence where one belongs.',
  )
  expect(() => expectSequence(undefined, what)).toThrow('a sequence')
})
