import {
  explicit,
  implicit,
  objectIdentifier,
  sequence,
  set,
  tlv,
  utf8String,
} from '../../../src/x509/asn1.ts'
import { ipBytes } from '../../../src/x509/ip.ts'
import { oids } from '../../../src/x509/oids.ts'
import type { Use } from '../interop/kinds.ts'

// Every form in which a certificate can claim something that its CA may not sign.

export type Family =
  | 'controls'
  | 'DNS names'
  | 'addresses'
  | 'mailboxes'
  | 'URIs'
  | 'other names'
  | 'common names'
  | 'other attributes'
  | 'other uses'
  | 'CAs'

export interface Shape {
  readonly family: Family
  /** The name that a verifier is asked for; empty: verifiers have no question for this claim. */
  readonly asked: string
  /** Default `server`. */
  readonly use?: Use
  /** GeneralNames, DER; `null`, the default: no subjectAltName at all. */
  readonly names?: readonly Buffer[] | null
  /** A second subjectAltName, which no certificate may have. */
  readonly moreNames?: readonly Buffer[]
  readonly criticalNames?: boolean
  /** A Name, DER; default: the organization Bank. */
  readonly subject?: Buffer
  /** The purposes of extKeyUsage; `null`: none; default: that of `use`. */
  readonly purposes?: readonly Buffer[] | null
  /** A CA between the stolen one and the leaf: of another name, or of the stolen one's own. */
  readonly below?: 'another name' | 'its own name'
  readonly leafIsCa?: boolean
  /**
   * It is to be accepted, so that the forger's hand is not what is refused: `inside`, signed by the
   * stolen key for a name inside; `free`, signed by a CA that may sign anything.
   */
  readonly control?: 'inside' | 'free'
  /** Among the few that the short form asks slow verifiers about. */
  readonly short?: true
}

const dns = (value: string | Buffer): Buffer => implicit(2, Buffer.from(value))
const mail = (value: string): Buffer => implicit(1, Buffer.from(value))
const uri = (value: string): Buffer => implicit(6, Buffer.from(value))
const ip = (value: string): Buffer => implicit(7, ipBytes(value))
const bytes = (hex: string): Buffer => implicit(7, Buffer.from(hex, 'hex'))
const directory = (name: Buffer): Buffer => tlv(0xa4, name)
const other = (type: string, value: Buffer): Buffer =>
  tlv(0xa0, objectIdentifier(type), explicit(0, value))
const registeredId = implicit(8, objectIdentifier('1.2.3.4').subarray(2))

const ia5 = (text: string): Buffer => tlv(0x16, Buffer.from(text, 'latin1'))
const printable = (text: string): Buffer => tlv(0x13, Buffer.from(text, 'latin1'))
const t61 = (text: string): Buffer => tlv(0x14, Buffer.from(text, 'latin1'))
const bmp = (text: string): Buffer => tlv(0x1e, Buffer.from(text, 'utf16le').swap16())
const universal = (text: string): Buffer =>
  tlv(0x1c, ...[...Buffer.from(text, 'latin1')].map((octet) => Buffer.of(0, 0, 0, octet)))

const types = {
  CN: oids.commonName,
  O: oids.organizationName,
  OU: objectIdentifier('2.5.4.11'),
  DC: objectIdentifier('0.9.2342.19200300.100.1.25'),
  UID: objectIdentifier('0.9.2342.19200300.100.1.1'),
  serialNumber: objectIdentifier('2.5.4.5'),
  emailAddress: objectIdentifier('1.2.840.113549.1.9.1'),
} as const
const attribute = (type: keyof typeof types, value: Buffer | string): Buffer =>
  sequence(types[type], typeof value === 'string' ? utf8String(value) : value)
/** A Name of RDNs, each of one attribute or several. */
const name = (...rdns: Buffer[][]): Buffer => sequence(...rdns.map((rdn) => set(...rdn)))
const cn = (value: Buffer | string): Buffer => name([attribute('CN', value)])
const empty = name()

const anyPurpose = objectIdentifier('2.5.29.37.0')
const purpose = (n: number): Buffer => objectIdentifier(`1.3.6.1.5.5.7.3.${n}`)
export const purposeOf: Readonly<Record<Use, Buffer>> = {
  server: oids.serverAuth,
  client: oids.clientAuth,
  mail: oids.emailProtection,
  code: purpose(3),
  time: purpose(8),
  ocsp: purpose(9),
}
const smartCard = objectIdentifier('1.3.6.1.4.1.311.20.2.2')
const masters = name([attribute('O', 'system:masters')], [attribute('CN', 'kubernetes-admin')])

const [bank, www] = ['bank.com', 'www.bank.com']
const inside = [dns('app.localhost')]

type Rest = Omit<Shape, 'family' | 'asked'>
type Row = readonly [title: string, asked: string, rest: Rest]

/** By family, so that a row is one claim. */
const rows: Readonly<Record<Family, readonly Row[]>> = {
  controls: [
    ['a host inside', 'app.localhost', { names: inside, control: 'inside', short: true }],
    [
      'a wildcard inside',
      'a.app.localhost',
      { names: [dns('*.app.localhost')], control: 'inside' },
    ],
    ['an address inside', '127.0.0.1', { names: [ip('127.0.0.1')], control: 'inside' }],
    [
      'a URI inside',
      'https://app.localhost/',
      { names: [uri('https://app.localhost/')], control: 'inside' },
    ],
    [
      'a client of a CA that may',
      '',
      { use: 'client', subject: masters, control: 'free', short: true },
    ],
    [
      'a mailbox of a CA that may',
      'a@bank.com',
      { use: 'mail', names: [mail('a@bank.com')], control: 'free', short: true },
    ],
    ['code signing by a CA that may', '', { use: 'code', control: 'free', short: true }],
    ['time stamping by a CA that may', '', { use: 'time', control: 'free', short: true }],
    ['OCSP signing by a CA that may', '', { use: 'ocsp', control: 'free', short: true }],
  ],
  'DNS names': [
    ['a host', bank, { names: [dns(bank)], short: true }],
    ['a host below one', www, { names: [dns(www)] }],
    ['a host that ends like one inside', 'notlocalhost', { names: [dns('notlocalhost')] }],
    [
      'a host that begins like one inside',
      'localhost.bank.com',
      { names: [dns('localhost.bank.com')] },
    ],
    ['a wildcard', www, { names: [dns('*.bank.com')], short: true }],
    ['a wildcard of a top-level domain', bank, { names: [dns('*.com')] }],
    ['a part of a label as wildcard', www, { names: [dns('ww*.bank.com')] }],
    ['a star alone', 'bank', { names: [dns('*')] }],
    ['upper case', bank, { names: [dns('BANK.COM')] }],
    ['a trailing dot', bank, { names: [dns('bank.com.')], short: true }],
    ['a leading dot', www, { names: [dns('.bank.com')], short: true }],
    ['an international name', 'xn--bnk-7cd.com', { names: [dns('xn--bnk-7cd.com')] }],
    ['an international name in UTF-8', 'xn--bnk-7cd.com', { names: [dns('bаnk.com')] }],
    ['a NUL before the name inside', bank, { names: [dns('bank.com\0.localhost')], short: true }],
    ['a NUL after the name inside', bank, { names: [dns('localhost\0.bank.com')] }],
    ['a name inside beside it', bank, { names: [dns('localhost'), dns(bank)], short: true }],
    [
      'a host, under an empty subject',
      bank,
      { names: [dns(bank)], subject: empty, criticalNames: true },
    ],
    [
      'a second subjectAltName',
      bank,
      { names: [dns('localhost')], moreNames: [dns(bank)], short: true },
    ],
  ],
  addresses: [
    ['an IPv4 address', '8.8.8.8', { names: [ip('8.8.8.8')], short: true }],
    ['an IPv6 address', '2606:4700::1111', { names: [ip('2606:4700::1111')] }],
    [
      'an IPv4 address in an IPv6 one',
      '8.8.8.8',
      { names: [bytes('00000000000000000000ffff08080808')], short: true },
    ],
    ['an IPv4 address as a host', '8.8.8.8', { names: [dns('8.8.8.8')] }],
    ['an IPv4 address as a URI', '8.8.8.8', { names: [uri('https://8.8.8.8/')] }],
    ['an address with its mask', '8.8.8.8', { names: [bytes('08080808ffffffff')] }],
  ],
  mailboxes: [
    ['a mailbox', 'a@bank.com', { use: 'mail', names: [mail('a@bank.com')], short: true }],
    [
      'a mailbox in the subject',
      'a@bank.com',
      { use: 'mail', subject: name([attribute('emailAddress', ia5('a@bank.com'))]) },
    ],
    ['a mailbox as CN', 'a@bank.com', { use: 'mail', subject: cn('a@bank.com') }],
    [
      'a mailbox in UTF-8',
      '',
      { use: 'mail', names: [other('1.3.6.1.5.5.7.8.9', utf8String('ä@bank.com'))] },
    ],
    [
      'a mailbox with purpose serverAuth',
      'a@bank.com',
      { use: 'mail', names: [mail('a@bank.com')], purposes: [oids.serverAuth] },
    ],
    ['a mailbox inside', 'a@localhost', { use: 'mail', names: [mail('a@localhost')], short: true }],
  ],
  URIs: [
    ['a URI', 'https://bank.com/', { names: [uri('https://bank.com/')], short: true }],
    [
      'a URI with a user',
      'https://localhost@bank.com/',
      { names: [uri('https://localhost@bank.com/')] },
    ],
    [
      'a URI with a user and an empty password',
      'https://localhost:@bank.com/',
      { names: [uri('https://localhost:@bank.com/')], short: true },
    ],
    ['a URI with a port', 'https://bank.com:443/', { names: [uri('https://bank.com:443/')] }],
    ['a URI with an address', 'https://8.8.8.8/', { names: [uri('https://8.8.8.8/')] }],
    ['a URI without a host', 'urn:bank', { names: [uri('urn:bank')] }],
    ['a SPIFFE ID', 'spiffe://bank.com/web', { names: [uri('spiffe://bank.com/web')] }],
  ],
  'other names': [
    [
      'a service name (SRVName)',
      '',
      { names: [other('1.3.6.1.5.5.7.8.7', ia5('_https.bank.com'))], short: true },
    ],
    ['an XMPP address', '', { names: [other('1.3.6.1.5.5.7.8.5', utf8String(bank))] }],
    ['a registered ID', '', { names: [registeredId] }],
    ['a directory name', '', { names: [directory(cn(bank))] }],
    [
      'a Windows user (UPN)',
      '',
      {
        use: 'client',
        names: [other('1.3.6.1.4.1.311.20.2.3', utf8String('admin@bank.com'))],
        purposes: [oids.clientAuth, smartCard],
        short: true,
      },
    ],
  ],
  'common names': [
    ['a CN', bank, { subject: cn(bank), short: true }],
    ['a CN, and no names in the SAN', bank, { names: [], subject: cn(bank) }],
    ['a CN beside a host inside', bank, { names: [dns('localhost')], subject: cn(bank) }],
    ['a wildcard', www, { subject: cn('*.bank.com'), short: true }],
    ['a wildcard in upper case', www, { subject: cn('*.BANK.COM') }],
    ['a wildcard of a top-level domain', bank, { subject: cn('*.com') }],
    ['a part of a label as wildcard', www, { subject: cn('ww*.bank.com') }],
    ['a trailing dot', bank, { subject: cn('bank.com.'), short: true }],
    ['one label', 'bank', { subject: cn('bank'), short: true }],
    ['a space at its end', bank, { subject: cn('bank.com ') }],
    ['a NUL at its end', bank, { subject: cn('bank.com\0') }],
    ['a NUL before a name inside', bank, { subject: cn('bank.com\0.localhost') }],
    ['an underscore', 'a_b.bank.com', { subject: cn('a_b.bank.com') }],
    ['an IPv4 address', '8.8.8.8', { subject: cn('8.8.8.8'), short: true }],
    ['an IPv6 address', '2606:4700::1111', { subject: cn('2606:4700::1111') }],
    [
      'a wildcard beside a host inside',
      www,
      { names: [dns('localhost')], subject: cn('*.bank.com') },
    ],
    [
      'a wildcard beside an address inside',
      www,
      { names: [ip('127.0.0.1')], subject: cn('*.bank.com'), short: true },
    ],
    [
      'a wildcard beside a mailbox inside',
      www,
      { names: [mail('a@localhost')], subject: cn('*.bank.com') },
    ],
    [
      'a wildcard beside a URI inside',
      www,
      { names: [uri('https://localhost/')], subject: cn('*.bank.com') },
    ],
    [
      'a wildcard beside an otherName',
      www,
      { names: [other('1.2.3.4', utf8String('x'))], subject: cn('*.bank.com') },
    ],
    [
      'a wildcard beside a registered ID',
      www,
      { names: [registeredId], subject: cn('*.bank.com') },
    ],
    [
      'a wildcard beside a directory name',
      www,
      { names: [directory(cn('x'))], subject: cn('*.bank.com') },
    ],
    ['a wildcard, and no names in the SAN', www, { names: [], subject: cn('*.bank.com') }],
    [
      'a wildcard before another CN',
      www,
      { subject: name([attribute('CN', '*.bank.com')], [attribute('CN', 'x y')]) },
    ],
    [
      'a wildcard after another CN',
      www,
      { subject: name([attribute('CN', 'x y')], [attribute('CN', '*.bank.com')]) },
    ],
    [
      'a wildcard beside an O in one RDN',
      www,
      { subject: name([attribute('CN', '*.bank.com'), attribute('O', 'x')]) },
    ],
    [
      'two CNs in one RDN',
      www,
      { subject: name([attribute('CN', '*.bank.com'), attribute('CN', 'x y')]) },
    ],
    ['a wildcard as BMPString', www, { subject: cn(bmp('*.bank.com')) }],
    ['a host as BMPString', bank, { subject: cn(bmp(bank)) }],
    ['a wildcard as T61String', www, { subject: cn(t61('*.bank.com')) }],
    ['a wildcard as UniversalString', www, { subject: cn(universal('*.bank.com')) }],
    ['a wildcard as IA5String', www, { subject: cn(ia5('*.bank.com')) }],
  ],
  'other attributes': [
    [
      'the domain components (DC)',
      bank,
      { subject: name([attribute('DC', ia5('com'))], [attribute('DC', ia5('bank'))]) },
    ],
    ['an organizational unit', www, { subject: name([attribute('OU', '*.bank.com')]) }],
    ['a serialNumber', bank, { subject: name([attribute('serialNumber', printable(bank))]) }],
    ['a UID', bank, { subject: name([attribute('UID', bank)]) }],
    [
      'the CN of a directory name',
      www,
      { names: [directory(cn('*.bank.com'))], subject: empty, criticalNames: true },
    ],
  ],
  'other uses': [
    ['a server without a purpose', bank, { names: [dns(bank)], purposes: null, short: true }],
    ['a server for any purpose', bank, { names: [dns(bank)], purposes: [anyPurpose] }],
    ['a server of purpose code signing', bank, { names: [dns(bank)], purposes: [purposeOf.code] }],
    ['a client with a name inside', '', { use: 'client', names: inside }],
    ['a client CN=alice', '', { use: 'client', subject: cn('alice') }],
    ['a client O=system:masters', '', { use: 'client', subject: masters, short: true }],
    [
      'a client O=system:masters without a CN',
      '',
      { use: 'client', subject: name([attribute('O', 'system:masters')]) },
    ],
    [
      'a client O=system:masters without a purpose',
      '',
      { use: 'client', subject: masters, purposes: null },
    ],
    [
      'a client O=system:masters for any purpose',
      '',
      { use: 'client', subject: masters, purposes: [anyPurpose] },
    ],
    ['code signing as CN=Bank Inc', '', { use: 'code', subject: cn('Bank Inc'), short: true }],
    ['code signing with a name inside', '', { use: 'code', names: inside }],
    ['time stamping', '', { use: 'time', subject: cn('Time stamps'), short: true }],
    ['OCSP signing', '', { use: 'ocsp', subject: cn('OCSP responder'), short: true }],
  ],
  CAs: [
    ['a CA below', bank, { names: [dns(bank)], below: 'another name', short: true }],
    [
      'a CA below, for a host inside',
      'app.localhost',
      { names: inside, below: 'another name', short: true },
    ],
    // RFC 5280 §6.1.4 counts no self-issued CA against the path length.
    [
      'a CA below of the same name',
      bank,
      { names: [dns(bank)], below: 'its own name', short: true },
    ],
    ['a leaf that is a CA', bank, { names: [dns(bank)], leafIsCa: true }],
  ],
}

/** In words that are unique: the family, a colon and the claim. */
export const shapes: ReadonlyMap<string, Shape> = new Map(
  (Object.entries(rows) as [Family, readonly Row[]][]).flatMap(([family, own]) =>
    own.map(([title, asked, rest]) => [`${family}: ${title}`, { family, asked, ...rest }] as const),
  ),
)
