import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRevocationSource } from '../../src/sites/revocation/source.ts'
import { explicit, integer, octetString, sequence } from '../../src/x509/asn1.ts'
import { readDer } from '../../src/x509/asn1-reader.ts'
import { oids } from '../../src/x509/oids.ts'
import { isIssuedBy, parseOcspRequest } from '../../src/x509/ocsp.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'

const sha1 = Buffer.from('06052b0e03021a', 'hex')
const certId = sequence(
  sequence(sha1),
  octetString(Buffer.alloc(20, 1)),
  octetString(Buffer.alloc(20, 2)),
  integer(Buffer.from('4a0f', 'hex')),
)

/** A request for one certificate, with these extensions. */
function ocspRequest(...extensions: Buffer[]): Buffer {
  const more = extensions.length === 0 ? [] : [explicit(2, sequence(...extensions))]
  return sequence(sequence(sequence(sequence(certId)), ...more))
}
const nonce = (length: number): Buffer =>
  sequence(oids.ocspNonce, octetString(octetString(Buffer.alloc(length, 7))))

test('reads what is asked and the nonce as it stood', () => {
  const extension = nonce(32)
  const { certIds, nonce: found } = parseOcspRequest(ocspRequest(extension))
  expect(found).toEqual(extension)
  expect(certIds).toEqual([
    {
      hash: 'sha1',
      issuerNameHash: Buffer.alloc(20, 1),
      issuerKeyHash: Buffer.alloc(20, 2),
      serialNumber: '4a0f',
      der: certId,
    },
  ])
})

test('a nonce has 1 to 128 octets', () => {
  for (const length of [1, 128]) expect(parseOcspRequest(ocspRequest(nonce(length)))).toBeTruthy()
  for (const length of [0, 129])
    expect(() => parseOcspRequest(ocspRequest(nonce(length)))).toThrow(/nonce of 1 to 128/)
})

test('an extension that is not known is passed over unless it is critical', () => {
  const [oid, value] = [oids.crlNumber, octetString(integer(1))]
  expect(parseOcspRequest(ocspRequest(sequence(oid, value))).nonce).toBeNull()
  const critical = sequence(oid, Buffer.from('0101ff', 'hex'), value)
  expect(() => parseOcspRequest(ocspRequest(critical))).toThrow(/an extension that is known/)
})

test('a hash that nobody knows matches no issuer', () => {
  const unknown = sequence(sequence(oids.ocsp), octetString(sha1), octetString(sha1), integer(1))
  const request = sequence(sequence(sequence(sequence(unknown))))
  const [asked] = parseOcspRequest(request).certIds
  expect(asked?.hash).toBeNull()
  if (asked === undefined) throw new Error('nothing was asked')
  expect(isIssuedBy(asked, { name: sha1, spki: sha1 })).toBe(false)
})

test('a request for nothing, another version and more after the end are refused', () => {
  const list = sequence(sequence(certId))
  for (const [request, why] of [
    [sequence(sequence(sequence())), /certificate to ask about/],
    [sequence(sequence(explicit(0, integer(1)), list)), /version 1/],
    [sequence(sequence(list), integer(1)), /nothing else/],
    [sequence(sequence(list, integer(1))), /one tagged value/],
    [Buffer.concat([ocspRequest(), Buffer.of(0)]), /follow its end/],
    [ocspRequest(nonce(8_200)), /larger than anything real/],
  ] as const)
    expect(() => parseOcspRequest(request)).toThrow(why)
  expect(parseOcspRequest(sequence(sequence(explicit(0, integer(0)), list))).certIds.length).toBe(1)
})

/** Bytes, and requests with bytes changed, cut out or put in. */
const almostRequests = fc.oneof(
  fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)),
  fc
    .array(fc.tuple(fc.nat(200), fc.nat(255), fc.constantFrom('set', 'cut', 'put')), {
      minLength: 1,
      maxLength: 6,
    })
    .map((changes) => {
      let bytes = [...ocspRequest(nonce(16))]
      for (const [at, byte, how] of changes) {
        const i = at % bytes.length
        if (how === 'set') bytes[i] = byte
        else bytes = [...bytes.slice(0, i), ...(how === 'put' ? [byte] : []), ...bytes.slice(i + 1)]
      }
      return Buffer.from(bytes)
    }),
)

test('whatever is sent, the answer is an OCSPResponse without an authority: an error', async () => {
  const source = createRevocationSource(fileStorage(await temporaryState()), () => new Date())
  await fc.assert(
    fc.asyncProperty(almostRequests, async (request) => {
      const answer = await source.answer(request)
      // malformedRequest, or unauthorized where it could be read: there is no authority here.
      expect(['30030a0101', '30030a0106']).toContain(answer.toString('hex'))
      expect(readDer(answer, 'The answer').children).toHaveLength(1)
    }),
    { numRuns: 2_000 },
  )
})
