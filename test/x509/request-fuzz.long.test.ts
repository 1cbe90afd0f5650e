import * as fc from 'fast-check'
import { createPrivateKey } from 'node:crypto'
import { beforeAll, expect, test, vi } from 'vitest'
import { RootlingError } from '../../src/errors.ts'
import { readDer, type DerValue } from '../../src/x509/asn1-reader.ts'
import * as der from '../../src/x509/asn1.ts'
import { signed, signWith } from '../../src/x509/certificate.ts'
import { parseIdentifier } from '../../src/x509/identifier.ts'
import { generateKeys } from '../../src/x509/keys.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { makeRequest, readRequest } from '../../src/x509/request.ts'

const numRuns = Number(process.env['ROOTLING_FUZZ_RUNS'] ?? 20_000)
// 20,000 take about ten seconds.
vi.setConfig({ testTimeout: 120_000 + numRuns * 50 })
const codes = ['bad-der', 'bad-key', 'bad-name', 'usage']

interface Seed {
  readonly request: Buffer
  /** Signs what was changed, so that the reader looks further than the signature. */
  readonly sign: (info: Buffer) => Promise<Buffer>
}
let seeds: Seed[]

function pick<T>(list: readonly T[], at: number): T {
  const found = list[at % list.length]
  if (found === undefined) throw new Error('nothing to pick from')
  return found
}

beforeAll(async () => {
  const types = ['p256', 'ed25519', 'rsa2048'] as const
  seeds = await Promise.all(
    types.map(async (type) => {
      const keys = await generateKeys(type)
      const key = createPrivateKey({ key: keys.pkcs8, format: 'der', type: 'pkcs8' })
      const names = ['localhost', '127.0.0.1', 'a@b.test', 'spiffe://a.test/b']
      const request = makeRequest({ identifiers: names.map(parseIdentifier), keys, key })
      const signing = signWith(key)
      if (signing === null) throw new Error('no algorithm')
      const signer = { ...signing, name: Buffer.alloc(0), keyIdentifier: Buffer.alloc(0) }
      return { request, sign: (info: Buffer) => signed(info, signer) }
    }),
  )
})

function onlyOurs(bytes: Buffer | string): boolean {
  try {
    return readRequest(bytes).spki.length > 0
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    expect(codes).toContain(error.code)
    expect(error.message).toMatch(/^[^\n]{10,600}\.$/)
    return false
  }
}

const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 })

function edited(bytes: Buffer, changes: readonly [number, number][]): Buffer {
  const out = Buffer.from(bytes)
  for (const [at, octet] of changes) out[at % out.length] = octet
  return out
}

test('a request of which octets were changed or cut is read or refused', () => {
  fc.assert(
    fc.property(fc.nat(2), edits, fc.nat(2000), (which, changes, cut) => {
      onlyOurs(edited(pick(seeds, which).request, changes).subarray(0, cut))
    }),
    { numRuns },
  )
  expect(seeds.every(({ request }) => onlyOurs(request))).toBe(true)
})

test('random bytes and texts are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(onlyOurs(Buffer.from(bytes))).toBe(false)
      expect(onlyOurs(encodePem('CERTIFICATE REQUEST', bytes))).toBe(false)
    }),
    { numRuns },
  )
})

/** Every value of a tree, each with a way to the whole in which it is replaced. */
function places(value: DerValue): { value: DerValue; replaced: (by: Buffer) => Buffer }[] {
  const here = { value, replaced: (by: Buffer) => by }
  const below = value.children.flatMap((child, i) =>
    places(child).map(({ value: inner, replaced }) => ({
      value: inner,
      replaced: (by: Buffer) => {
        const parts = value.children.map((other, j) => (i === j ? replaced(by) : other.der))
        return der.tlv(value.der[0] ?? 0x30, ...parts)
      },
    })),
  )
  return [here, ...below]
}

const strange = fc.oneof(
  fc.constant(Buffer.alloc(0)),
  fc.constant(der.sequence()),
  fc.constant(der.tlv(5)),
  fc.integer({ min: 0, max: 2 ** 31 }).map((n) => der.integer(n)),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => der.octetString(bytes)),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => der.tlv(0x82, bytes)),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => der.tlv(0x06, bytes)),
  fc.string({ unit: 'binary', maxLength: 20 }).map((text) => der.utf8String(text)),
)

test('a request of another shape, signed with its key, is read or refused', async () => {
  let read = 0
  await fc.assert(
    fc.asyncProperty(fc.nat(1), fc.nat(), strange, async (which, at, by) => {
      const { request, sign } = pick(seeds, which)
      const { replaced } = pick(places(pick(readDer(request, 'The seed').children, 0)), at)
      if (onlyOurs(await sign(replaced(by)))) read++
    }),
    { numRuns: Math.ceil(numRuns / 5) },
  )
  expect(read).toBeGreaterThan(0)
})

test('an extension of any contents, signed with the request’s key, is read or refused', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('2.5.29.17', '2.5.29.15', '2.5.29.19', '2.5.29.37', '1.2.3.4'),
      fc.oneof(
        fc.uint8Array({ maxLength: 60 }),
        fc
          .array(
            fc.tuple(
              fc.constantFrom(0x81, 0x82, 0x86, 0x87, 0xa4),
              fc.uint8Array({ maxLength: 20 }),
            ),
          )
          .map((parts) => der.sequence(...parts.map(([tag, bytes]) => der.tlv(tag, bytes)))),
        fc.webUrl().map((text) => der.sequence(der.tlv(0x86, Buffer.from(text)))),
        fc.domain().map((text) => der.sequence(der.tlv(0x82, Buffer.from(text)))),
      ),
      async (oid, contents) => {
        const { request, sign } = pick(seeds, 1)
        const [version, subject, spki] = readDer(request, 'The seed').children[0]?.children ?? []
        if (version === undefined || subject === undefined || spki === undefined) throw new Error()
        const extension = der.sequence(der.objectIdentifier(oid), der.octetString(contents))
        const type = der.objectIdentifier('1.2.840.113549.1.9.14')
        const wanted = der.sequence(type, der.set(der.sequence(extension)))
        const attributes = der.explicit(0, wanted)
        onlyOurs(await sign(der.sequence(version.der, subject.der, spki.der, attributes)))
      },
    ),
    { numRuns: Math.ceil(numRuns / 5) },
  )
  expect.hasAssertions()
})
