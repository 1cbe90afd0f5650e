import { spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { RootlingError } from '../../../src/errors.ts'
import * as asn1 from '../../../src/x509/asn1-reader.ts'
import * as der from '../../../src/x509/asn1.ts'
import { inspectCertificate } from '../../../src/x509/inspect.ts'
import { generateKeys } from '../../../src/x509/keys.ts'
import { oids } from '../../../src/x509/oids.ts'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'

/*
 * Malformed DER, in the manner of Wycheproof: what our reader does, and what OpenSSL does. Where
 * the two differ, the last column says why.
 */

const what = 'The file'
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const ascii = (text: string): Buffer => Buffer.from(text, 'latin1')

/** Whether openssl takes it; asn1parse goes on after what it calls bad. */
function openssl(input: Buffer, ...args: string[]): boolean {
  const env = scrubbedEnvironment('/tmp')
  const { status, stdout } = spawnSync('openssl', args, { input, env, timeout: 600_000 })
  return status === 0 && !/:BAD |Bad boolean/.test(stdout.toString('latin1'))
}

/** `null`: it was read. */
function refusal(read: () => unknown): string | null {
  try {
    read()
    return null
  } catch (error) {
    if (error instanceof RootlingError) return error.code
    throw error
  }
}

type Expect = (value: asn1.DerValue, what: string) => unknown
const whole: Expect = (value) => value
type ValueRow = [
  title: string,
  input: Buffer,
  read: Expect,
  refused: boolean,
  byOpenssl: boolean,
  why?: string,
]

function deep(levels: number): Buffer {
  let bytes = der.integer(1)
  for (let i = 0; i < levels; i++) bytes = der.sequence(bytes)
  return bytes
}

const onlyShape = 'asn1parse looks at shapes, not at what a type allows'
const berToo = 'asn1parse reads BER too'
const values: ValueRow[] = [
  ['an indefinite length', hex('3080 020101 0000'), whole, true, false, berToo],
  ['a length in two octets that needs one', hex('3081 03 020101'), whole, true, false, berToo],
  ['a length with a leading zero', hex('3082 0003 020101'), whole, true, false, berToo],
  ['a length of 4 GiB', hex('3085 0100000000 020101'), whole, true, true],
  ['a length of 2^53', hex('3087 20000000000000 020101'), whole, true, true],
  ['a length of 2^64', hex('3089 010000000000000000 020101'), whole, true, true],
  ['a length beyond the input', hex('3005 020101'), whole, true, true],
  ['a length beyond the value around it', hex('3005 0204 010101 0500'), whole, true, true],
  ['octets behind the end', hex('3003 020101 00'), whole, true, true],
  ['no length', hex('30'), whole, true, true],
  ['the reserved length 0xff', hex('30ff 020101'), whole, true, true],
  ['a primitive SEQUENCE', hex('1003 020101'), whole, true, false, berToo],
  ['a constructed INTEGER', hex('2203 020101'), whole, true, false, berToo],
  ['an OCTET STRING in pieces', hex('2406 0401aa 0401bb'), whole, true, false, berToo],
  ['an end of contents', hex('0000'), whole, true, false, berToo],
  [
    'a tag number above 30',
    hex('1f8101 00'),
    whole,
    true,
    false,
    'no structure here has such a tag',
  ],
  ['10,000 values within each other', deep(10_000), whole, true, true],
  ['an INTEGER without octets', hex('0200'), asn1.expectInteger, true, true],
  ['an INTEGER with a needless 00', hex('02020001'), asn1.expectInteger, true, true],
  ['an INTEGER with a needless ff', hex('0202ff80'), asn1.expectInteger, true, true],
  ['an INTEGER of another tag', hex('0a0101'), asn1.expectInteger, true, false, onlyShape],
  ['a BIT STRING without octets', hex('0300'), asn1.expectNamedBits, true, false, onlyShape],
  [
    'a BIT STRING with 8 unused bits',
    hex('03020800'),
    asn1.expectNamedBits,
    true,
    false,
    onlyShape,
  ],
  ['unused bits of no octet', hex('030101'), asn1.expectNamedBits, true, false, onlyShape],
  ['unused bits that are set', hex('03020701'), asn1.expectNamedBits, true, false, onlyShape],
  ['a key of no whole octets', hex('03020180'), asn1.expectBits, true, false, onlyShape],
  ['the BOOLEAN 01', hex('010101'), asn1.expectBoolean, true, false, berToo],
  ['a BOOLEAN of two octets', hex('0102ffff'), asn1.expectBoolean, true, true],
  ['a BOOLEAN without octets', hex('0100'), asn1.expectBoolean, true, true],
  ['an OID without octets', hex('0600'), asn1.expectOid, true, true],
  ['an OID with a leading 80', hex('0603 2a8001'), asn1.expectOid, true, true],
  ['an OID that is cut off', hex('0602 2a86'), asn1.expectOid, true, true],
  ['an arc of 80 bits', hex('060d 2a 82808080808080808080 8000'), asn1.expectOid, false, false],
  [
    'an arc of 1000 octets',
    der.tlv(6, hex('2a'), Buffer.alloc(1000, 0xff), hex('01')),
    asn1.expectOid,
    true,
    false,
    'OpenSSL has no limit of 128 octets',
  ],
  ['bad UTF-8', hex('0c02 c328'), asn1.expectText, true, false, onlyShape],
  ['half a character of a BMPString', hex('1e01 00'), asn1.expectText, true, false, onlyShape],
]

test.each(values)(
  '%s is refused or read as the table says',
  (_, input, read, refused, byOpenssl, why) => {
    const code = refusal(() => read(asn1.readDer(input, what), what))
    const theirs = !openssl(input, 'asn1parse', '-inform', 'DER')
    expect({ refused: code, byOpenssl: theirs }).toEqual({
      refused: refused ? 'bad-der' : null,
      byOpenssl,
    })
    expect(why === undefined).toBe(refused === byOpenssl)
  },
)

const { spki } = await generateKeys('p256')
const algorithm = der.sequence(der.objectIdentifier('1.2.840.10045.4.3.2'))
const name = (text = 'a') =>
  der.sequence(der.set(der.sequence(oids.commonName, der.utf8String(text))))
const extension = (oid: string, value: Buffer, ...critical: Buffer[]) =>
  der.sequence(der.objectIdentifier(oid), ...critical, der.octetString(value))
const altNames = (...names: Buffer[]) => extension('2.5.29.17', der.sequence(...names))
const dates = (first: Buffer, last = der.time(new Date('2030-01-01'))) => der.sequence(first, last)
const utc = (text: string) => dates(der.tlv(0x17, ascii(text)))

interface Parts {
  version: Buffer
  serial: Buffer
  validity: Buffer
  subject: Buffer
  extensions: Buffer[]
  after: Buffer
}

/** A certificate whose parts are right but for those given; its signature is nobody's. */
function certificate(parts: Partial<Parts> = {}): Buffer {
  const { version, serial, validity, subject, extensions, after } = {
    version: der.explicit(0, der.integer(2)),
    serial: der.integer(0x4a0f),
    validity: utc('260101000000Z'),
    subject: name(),
    extensions: [altNames(der.implicit(2, ascii('a.test')))],
    after: Buffer.alloc(0),
    ...parts,
  }
  const list = der.explicit(3, der.sequence(...extensions))
  const tbs = der.sequence(version, serial, algorithm, name(), validity, subject, spki, list, after)
  return der.sequence(tbs, algorithm, der.bitString(hex('3006 020101 020101')))
}

const usage = (bits: Buffer) => certificate({ extensions: [extension('2.5.29.15', bits)] })
const shown = 'openssl x509 prints it, and whoever verifies refuses it'
const lenient = 'Both only look: nothing is signed or trusted for it'
const one = der.implicit(2, ascii('a.test'))
type CertificateRow = [
  title: string,
  input: Buffer,
  refused: string | null,
  byOpenssl: boolean,
  why?: string,
]
const certificates: CertificateRow[] = [
  ['nothing wrong', certificate(), null, false],
  ['a negative serial number', certificate({ serial: hex('0201fb') }), null, false, lenient],
  ['the serial number 0', certificate({ serial: hex('020100') }), null, false, lenient],
  [
    'a serial number of 40 octets',
    certificate({ serial: der.integer(Buffer.alloc(40, 0x11)) }),
    null,
    false,
    lenient,
  ],
  ['a serial number without octets', certificate({ serial: hex('0200') }), 'bad-certificate', true],
  ['the month 13', certificate({ validity: utc('261301000000Z') }), 'bad-der', false, shown],
  [
    'the 30th of February',
    certificate({ validity: utc('260230000000Z') }),
    'bad-der',
    false,
    shown,
  ],
  ['a time without Z', certificate({ validity: utc('260101000000') }), 'bad-der', false, shown],
  [
    'a time with an offset',
    certificate({ validity: utc('260101000000+0100') }),
    'bad-der',
    false,
    shown,
  ],
  [
    'a time without seconds',
    certificate({ validity: utc('2601010000Z') }),
    'bad-der',
    false,
    shown,
  ],
  [
    'fractions of a second',
    certificate({ validity: dates(der.tlv(0x18, ascii('20260101000000.5Z'))) }),
    'bad-der',
    false,
    shown,
  ],
  [
    'a time of another type',
    certificate({ validity: dates(der.integer(1)) }),
    'bad-certificate',
    true,
  ],
  [
    'a NUL in a host name',
    certificate({ extensions: [altNames(der.implicit(2, ascii('a.test\0.b')))] }),
    null,
    false,
    lenient,
  ],
  [
    'an address of 5 octets',
    certificate({ extensions: [altNames(der.implicit(7, Buffer.alloc(5)))] }),
    null,
    false,
    lenient,
  ],
  [
    'no address at all',
    certificate({ extensions: [altNames(der.implicit(7, Buffer.alloc(0)))] }),
    null,
    false,
    lenient,
  ],
  [
    'bad UTF-8 in the subject',
    certificate({
      subject: der.sequence(der.set(der.sequence(oids.commonName, der.tlv(12, hex('c328'))))),
    }),
    'bad-certificate',
    true,
  ],
  ['an extension twice', certificate({ extensions: [altNames(one), altNames(one)] }), null, false],
  [
    'an extension that is critical as 01',
    certificate({ extensions: [extension('2.5.29.17', der.sequence(one), hex('010101'))] }),
    'bad-der',
    false,
    'OpenSSL takes every octet but 00 for true, as BER does',
  ],
  [
    'octets behind an extension’s value',
    certificate({
      extensions: [extension('2.5.29.17', Buffer.concat([der.sequence(one), hex('00')]))],
    }),
    'bad-der',
    false,
    shown,
  ],
  ['keyUsage with unused bits that are set', usage(hex('03020781')), null, false],
  ['extensions in version 1', certificate({ version: Buffer.alloc(0) }), null, false, lenient],
  ['version 5', certificate({ version: der.explicit(0, der.integer(4)) }), null, false, lenient],
  ['a subject that is a SET', certificate({ subject: der.set() }), 'bad-certificate', true],
  [
    'a SET in the wrong order',
    certificate({
      subject: der.sequence(
        der.set(
          der.sequence(oids.organizationName, der.utf8String('b')),
          der.sequence(oids.commonName, der.utf8String('a')),
        ),
      ),
    }),
    null,
    false,
    lenient,
  ],
  ['a field behind the extensions', certificate({ after: hex('020101') }), 'bad-certificate', true],
  [
    'octets behind the certificate',
    Buffer.concat([certificate(), hex('00')]),
    'bad-der',
    false,
    'openssl x509 reads the first value of a file',
  ],
]

function isReadByNode(certificate: Buffer): boolean {
  try {
    return new X509Certificate(certificate).raw.length > 0
  } catch {
    return false
  }
}

test.each(certificates)(
  'a certificate with %s is as the table says',
  (_, input, refused, byOpenssl, why) => {
    const code = refusal(() => inspectCertificate(input))
    const theirs = !openssl(input, 'x509', '-inform', 'DER', '-noout', '-text')
    // What the OpenSSL of newer Nodes does not read either, it refuses before us.
    const expected = refused === 'bad-der' && !isReadByNode(input) ? 'bad-certificate' : refused
    expect({ refused: code, byOpenssl: theirs }).toEqual({ refused: expected, byOpenssl })
    if ((refused === null) === byOpenssl) expect(why).toBeTypeOf('string')
  },
)

test('a negative serial number keeps its sign, and what is strange in a name is seen', () => {
  expect(inspectCertificate(certificate({ serial: hex('0201fb') })).serialNumber).toBe('-05')
  expect(inspectCertificate(certificate({ serial: hex('020100') })).serialNumber).toBe('00')
  const strange = altNames(der.implicit(2, ascii('a.test\0.b')), der.implicit(7, Buffer.alloc(5)))
  expect(inspectCertificate(certificate({ extensions: [strange] })).names).toEqual([
    { type: 'dns', value: 'a.test\uFFFD.b' },
    { type: 'ip', value: '#0000000000' },
  ])
})
