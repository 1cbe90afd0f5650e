import { createPrivateKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Scope } from '../../../src/authority/scope.ts'
import { scopePath } from '../../../src/storage/files/scopes.ts'
import type { StateDirectory } from '../../../src/home/state-directory.ts'
import {
  boolean,
  implicit,
  objectIdentifier,
  octetString,
  sequence,
  set,
  tlv,
} from '../../../src/x509/asn1.ts'
import {
  distinguishedName,
  randomSerialNumber,
  signCertificate,
  type Signer,
} from '../../../src/x509/certificate.ts'
import * as extension from '../../../src/x509/extensions.ts'
import { parseIdentifier } from '../../../src/x509/identifier.ts'
import { ipBytes } from '../../../src/x509/ip.ts'
import { generateKeys, keyIdentifier, signatureAlgorithmOf } from '../../../src/x509/keys.ts'
import type { KeyPairDer } from '../../../src/x509/keys.ts'
import { oids } from '../../../src/x509/oids.ts'
import { encodePem } from '../../../src/x509/pem.ts'
import { emptyName, leafValidity } from '../../../src/x509/profiles.ts'
import type { Presented } from '../interop/kinds.ts'

/** A chain that only a thief of the issuing key would sign, with the key of its leaf, PKCS #8 PEM. */
export interface Forgery extends Presented {
  readonly key: string
  /** Its names are all inside, so it is to be accepted: the forger's hand is not what is refused. */
  readonly control: boolean
  /** It stands for a name by its CN alone, which is no name of the certificate for many. */
  readonly byCommonName: boolean
}

interface Shape {
  readonly asked: string
  /** GeneralNames in DER; `null`: no subjectAltName at all. */
  readonly names: readonly Buffer[] | null
  readonly commonName?: string
  /** The subject in DER; default: an organization, and `commonName` where there is one. */
  readonly subject?: Buffer
  /** `null`: no extKeyUsage. */
  readonly purposes?: readonly Buffer[] | null
  /** A CA between the stolen one and the leaf: of another name, or of the stolen one's own. */
  readonly below?: 'another name' | 'its own name'
  readonly leafIsCa?: boolean
  readonly control?: boolean
}

const dns = (value: string | Buffer): Buffer => implicit(2, Buffer.from(value))
const mail = (value: string): Buffer => implicit(1, Buffer.from(value))
const uri = (value: string): Buffer => implicit(6, Buffer.from(value))
const ip = (value: string): Buffer => implicit(7, ipBytes(value))
const directory = (commonName: string): Buffer => tlv(0xa4, distinguishedName('Bank', commonName))
const codeSigning = objectIdentifier('1.3.6.1.5.5.7.3.3')
const mapped = Buffer.from('00000000000000000000ffff08080808', 'hex')

const text = { utf8: 0x0c, t61: 0x14, universal: 0x1c, bmp: 0x1e } as const
const attribute = (oid: Buffer, value: Buffer): Buffer => sequence(oid, value)
const cn = (value: string, type: keyof typeof text = 'utf8'): Buffer =>
  attribute(oids.commonName, tlv(text[type], encoded(value, type)))
const organization = attribute(oids.organizationName, tlv(text.utf8, Buffer.from('Bank')))
/** A subject of these relative distinguished names, each of which is a list of attributes. */
const subject = (...names: readonly Buffer[][]): Buffer =>
  sequence(...names.map((attributes) => set(...attributes)))
const otherName = tlv(0xa0, objectIdentifier('1.2.3.4'), tlv(0xa0, tlv(0x0c, Buffer.from('x'))))
const registeredId = implicit(8, Buffer.of(0x2a, 3, 4))

function encoded(value: string, type: keyof typeof text): Buffer {
  if (type === 'utf8' || type === 't61') return Buffer.from(value)
  const width = type === 'bmp' ? 2 : 4
  return Buffer.concat(Array.from(value, (letter) => Buffer.from(letter.padStart(width, '\0'))))
}

/** Every form in which a certificate can claim a name that its CA may not sign. */
const shapes: Readonly<Record<string, Shape>> = {
  'control: a name inside': {
    asked: 'app.localhost',
    names: [dns('app.localhost')],
    control: true,
  },
  'a host': { asked: 'bank.com', names: [dns('bank.com')] },
  'a host below one': { asked: 'www.bank.com', names: [dns('www.bank.com')] },
  'a host that ends like one inside': { asked: 'notlocalhost', names: [dns('notlocalhost')] },
  'a host that begins like one inside': {
    asked: 'localhost.bank.com',
    names: [dns('localhost.bank.com')],
  },
  'a wildcard': { asked: 'www.bank.com', names: [dns('*.bank.com')] },
  'a wildcard of a top-level domain': { asked: 'bank.com', names: [dns('*.com')] },
  'upper case': { asked: 'bank.com', names: [dns('BANK.COM')] },
  'a trailing dot': { asked: 'bank.com', names: [dns('bank.com.')] },
  'a leading dot': { asked: 'www.bank.com', names: [dns('.bank.com')] },
  'an international name': { asked: 'xn--bnk-7cd.com', names: [dns('xn--bnk-7cd.com')] },
  'an international name in UTF-8': { asked: 'xn--bnk-7cd.com', names: [dns('bаnk.com')] },
  'a NUL before the name inside': { asked: 'bank.com', names: [dns('bank.com\0.localhost')] },
  'a NUL after the name inside': { asked: 'bank.com', names: [dns('localhost\0.bank.com')] },
  'a name inside beside it': { asked: 'bank.com', names: [dns('localhost'), dns('bank.com')] },
  'an IPv4 address': { asked: '8.8.8.8', names: [ip('8.8.8.8')] },
  'an IPv6 address': { asked: '2606:4700::1111', names: [ip('2606:4700::1111')] },
  'an IPv4 address in an IPv6 one': { asked: '8.8.8.8', names: [implicit(7, mapped)] },
  'an IPv4 address as a host': { asked: '8.8.8.8', names: [dns('8.8.8.8')] },
  'a mailbox': {
    asked: 'a@bank.com',
    names: [mail('a@bank.com')],
    purposes: [oids.emailProtection],
  },
  'a URI': { asked: 'https://bank.com/', names: [uri('https://bank.com/')] },
  'a CN without names': { asked: 'bank.com', names: null, commonName: 'bank.com' },
  'a CN beside no names': { asked: 'bank.com', names: [], commonName: 'bank.com' },
  'a CN beside a name inside': {
    asked: 'bank.com',
    names: [dns('localhost')],
    commonName: 'bank.com',
  },
  'a wildcard as CN, without names': {
    asked: 'www.bank.com',
    names: null,
    commonName: '*.bank.com',
  },
  'a wildcard as CN, beside an address inside': {
    asked: 'www.bank.com',
    names: [ip('127.0.0.1')],
    commonName: '*.bank.com',
  },
  'a CN with a trailing dot': { asked: 'bank.com', names: null, commonName: 'bank.com.' },
  'a CN of one label': { asked: 'bank', names: null, commonName: 'bank' },
  'an address as CN': { asked: '8.8.8.8', names: null, commonName: '8.8.8.8' },
  'a directory name': { asked: 'bank.com', names: [directory('bank.com')] },
  'no purpose': { asked: 'bank.com', names: [dns('bank.com')], purposes: null },
  'code signing': { asked: 'bank.com', names: [dns('bank.com')], purposes: [codeSigning] },
  'a CA below': { asked: 'bank.com', names: [dns('bank.com')], below: 'another name' },
  'a CA below, for a name inside': {
    asked: 'app.localhost',
    names: [dns('app.localhost')],
    below: 'another name',
  },
  // RFC 5280 §6.1.4 counts no self-issued CA against the path length.
  'a CA below of the same name': {
    asked: 'bank.com',
    names: [dns('bank.com')],
    below: 'its own name',
  },
  'a leaf that is a CA': { asked: 'bank.com', names: [dns('bank.com')], leafIsCa: true },
}

const bankStar = { asked: 'www.bank.com', names: null } as const
const star = '*.bank.com'

/**
 * Further forms in which a certificate can claim a name by its common name: a program on OpenSSL,
 * Node or Java accepts most of them below a root that is not hardened.
 */
const commonNameShapes: Readonly<Record<string, Shape>> = {
  'a wildcard as CN, without an organization': { ...bankStar, subject: subject([cn(star)]) },
  'a CN with a trailing dot, without an organization': {
    asked: 'bank.com',
    names: null,
    subject: subject([cn('bank.com.')]),
  },
  'two CNs, the wildcard last': { ...bankStar, subject: subject([cn('x y')], [cn(star)]) },
  'two CNs, the wildcard first': { ...bankStar, subject: subject([cn(star)], [cn('x y')]) },
  'a CN in an RDN of two attributes': { ...bankStar, subject: subject([cn(star), organization]) },
  'a CN as BMPString': { ...bankStar, subject: subject([cn(star, 'bmp')]) },
  'a CN as TeletexString': { ...bankStar, subject: subject([cn(star, 't61')]) },
  'a CN as UniversalString': { ...bankStar, subject: subject([cn(star, 'universal')]) },
  'a CN of one label as BMPString': {
    asked: 'bank',
    names: null,
    subject: subject([cn('bank', 'bmp')]),
  },
  'a CN beside a mailbox inside': { ...bankStar, names: [mail('a@localhost')], commonName: star },
  'a CN beside a URI inside': { ...bankStar, names: [uri('https://localhost/')], commonName: star },
  'a CN beside an otherName': { ...bankStar, names: [otherName], commonName: star },
  'a CN beside a registeredID': { ...bankStar, names: [registeredId], commonName: star },
  'a CN beside an empty list of names': { ...bankStar, names: [], commonName: star },
}

/** What a thief has after reading the state directory: the key as the disk holds it. */
async function stolenSigner(state: StateDirectory, scope: Scope): Promise<Signer> {
  const path = join(scopePath(state, scope.name), 'intermediate-key.pem')
  const key = createPrivateKey(await readFile(path, 'utf8'))
  const algorithm = signatureAlgorithmOf(key)
  if (algorithm === null) throw new Error('the intermediate has an unknown key')
  return { name: scope.issuerName, keyIdentifier: scope.issuerKeyIdentifier, algorithm, key }
}

/** Signs one chain of every shape, also of the further forms of a common name where asked to. */
export async function forge(
  state: StateDirectory,
  scope: Scope,
  now: Date,
  { everyCommonName = false } = {},
): Promise<Forgery[]> {
  const thief = await stolenSigner(state, scope)
  const pair = await generateKeys('p256')
  const sub = await generateKeys('p256')
  const root = scope.root.toString()
  const all = everyCommonName ? { ...shapes, ...commonNameShapes } : shapes
  return Object.entries(all).map(([title, plain]) => {
    // A subject that is not empty would be refused in a hardened scope, whoever signs it.
    const shape =
      plain.control === true && scope.copies !== null ? { ...plain, subject: emptyName } : plain
    const { asked, names, below } = shape
    const byCommonName = shape.commonName !== undefined || title in commonNameShapes
    const own = below === 'its own name' ? thief.name : distinguishedName('Thief', 'Thief')
    const signer = below === undefined ? thief : signerOf(sub, own, thief)
    const ca = below === undefined ? '' : encodePem('CERTIFICATE', caBelow(sub, own, thief, now))
    const identifier =
      names === null || names.length === 0 || byCommonName
        ? ({ type: /^\d/.test(asked) ? 'ip' : 'dns', value: asked } as const)
        : asked.startsWith('https:')
          ? ({ type: 'uri', value: asked } as const)
          : parseIdentifier(asked)
    return {
      title,
      keyType: 'p256',
      root,
      intermediate: ca + scope.intermediate.toString(),
      leaf: encodePem('CERTIFICATE', leafOf(shape, pair, signer, now)),
      key: encodePem('PRIVATE KEY', pair.pkcs8),
      identifier,
      asked,
      control: shape.control === true,
      byCommonName: byCommonName || title === 'a directory name',
    }
  })
}

function signerOf(keys: KeyPairDer, name: Buffer, { algorithm }: Signer): Signer {
  const key = createPrivateKey({ key: keys.pkcs8, format: 'der', type: 'pkcs8' })
  return { name, keyIdentifier: keyIdentifier(keys.spki), algorithm, key }
}

function caBelow({ spki }: KeyPairDer, subject: Buffer, signer: Signer, now: Date): Buffer {
  const bit = extension.keyUsageBits
  return signCertificate(
    {
      serialNumber: randomSerialNumber(),
      subject,
      ...leafValidity(now, 90, later(now)),
      spki,
      extensions: [
        extension.basicConstraints(true, null),
        extension.keyUsage([bit.keyCertSign, bit.cRLSign]),
        extension.subjectKeyIdentifier(keyIdentifier(spki)),
        extension.authorityKeyIdentifier(signer.keyIdentifier),
      ],
    },
    signer,
  )
}

function leafOf(shape: Shape, { spki }: KeyPairDer, signer: Signer, now: Date): Buffer {
  const { names, commonName = null, purposes = [oids.serverAuth], leafIsCa = false } = shape
  const subjectOf = shape.subject ?? distinguishedName('Bank', commonName)
  const critical = subjectOf.equals(emptyName) ? [boolean(true)] : []
  const alternatives =
    names === null
      ? []
      : [sequence(oids.subjectAltName, ...critical, octetString(sequence(...names)))]
  const bit = extension.keyUsageBits
  return signCertificate(
    {
      serialNumber: randomSerialNumber(),
      subject: subjectOf,
      ...leafValidity(now, 90, later(now)),
      spki,
      extensions: [
        extension.basicConstraints(leafIsCa, null),
        extension.keyUsage([bit.digitalSignature, ...(leafIsCa ? [bit.keyCertSign] : [])]),
        ...(purposes === null ? [] : [extension.extKeyUsage(purposes)]),
        extension.subjectKeyIdentifier(keyIdentifier(spki)),
        extension.authorityKeyIdentifier(signer.keyIdentifier),
        ...alternatives,
      ],
    },
    signer,
  )
}

const later = (now: Date): Date => new Date(now.getTime() + 1e10)
