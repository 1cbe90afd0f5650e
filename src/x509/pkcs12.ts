import { createCipheriv, createHash, createHmac, randomBytes, randomInt } from 'node:crypto'
import forge from 'node-forge'
import { RootlingError } from '../errors.ts'
import {
  explicit,
  implicit,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  set,
  tlv,
} from './asn1.ts'
import { encryptPbes2, type Encrypted } from './encrypted-key.ts'
import { isJavaPassword } from './java-password.ts'

const asn1Null = tlv(0x05)
/** The object identifiers of RFC 2315 §14, RFC 2985 §5.5 and RFC 7292 appendix D. */
const data = objectIdentifier('1.2.840.113549.1.7.1')
const encryptedData = objectIdentifier('1.2.840.113549.1.7.6')
const friendlyNameOid = objectIdentifier('1.2.840.113549.1.9.20')
const localKeyIdOid = objectIdentifier('1.2.840.113549.1.9.21')
const x509Certificate = objectIdentifier('1.2.840.113549.1.9.22.1')
const shroudedKeyBag = objectIdentifier('1.2.840.113549.1.12.10.1.2')
const certBag = objectIdentifier('1.2.840.113549.1.12.10.1.3')
const tripleDes = objectIdentifier('1.2.840.113549.1.12.1.3')
/** Oracle's trustedKeyUsage: without it, Java does not see a trusted certificate. */
const trustedKeyUsage = objectIdentifier('2.16.840.1.113894.746875.1.1')
const anyExtendedKeyUsage = objectIdentifier('2.5.29.37.0')

/**
 * How a PKCS #12 file is protected. Encryption and MAC take the same number of rounds, since an
 * attacker would try the cheaper of the two.
 */
interface Protection {
  readonly encrypt: (plain: Buffer, password: string, iterations: number) => Promise<Encrypted>
  readonly iterations: number
  readonly digest: 'sha1' | 'sha256'
  readonly digestAlgorithm: Buffer
}

const modern: Protection = {
  encrypt: encryptPbes2,
  iterations: 100_000,
  digest: 'sha256',
  digestAlgorithm: sequence(objectIdentifier('2.16.840.1.101.3.4.2.1'), asn1Null),
}
/**
 * For systems that cannot read files of `modern`: Windows before 10 1709, macOS before 15, Java
 * before 8u301.
 */
const legacy: Protection = {
  encrypt: encryptTripleDes,
  iterations: 10_000,
  digest: 'sha1',
  digestAlgorithm: sequence(objectIdentifier('1.3.14.3.2.26'), asn1Null),
}

export interface Pkcs12Fields {
  /** Certificates, DER: the key's own first. */
  readonly chain: readonly Buffer[]
  /** The private key, PKCS #8 DER. */
  readonly pkcs8: Buffer
  /**
   * Must not be empty: programs encode an empty password in two ways. `isJavaPassword` says which
   * ones Java takes.
   */
  readonly password: string
  /**
   * The name that lists show, such as that of a browser's certificate manager; keytool calls it the
   * alias.
   */
  readonly friendlyName: string
  /** Whether to use triple DES and SHA-1, for old systems. */
  readonly legacy?: boolean | undefined
}

/**
 * Makes a PKCS #12 file (RFC 7292), DER, of one key with its chain. By default it is protected with
 * PBES2, AES-256 and an HMAC-SHA-256. Throws `usage` for an empty password or a chain without
 * certificates.
 */
export async function makePkcs12(fields: Pkcs12Fields): Promise<Buffer> {
  const { chain, pkcs8, password, friendlyName } = fields
  const [leaf] = chain
  if (leaf === undefined)
    throw new RootlingError('usage', 'A PKCS #12 file needs the certificate of its key.')
  const protection = fields.legacy === true ? legacy : modern
  const localKeyId = attribute(localKeyIdOid, octetString(createHash('sha1').update(leaf).digest()))
  const own = [attribute(friendlyNameOid, bmpString(friendlyName)), localKeyId]
  const certificates = chain.map((der, i) => certificateBag(der, i === 0 ? own : []))
  const key = await protection.encrypt(pkcs8, password, protection.iterations)
  const shrouded = sequence(key.algorithm, octetString(key.encrypted))
  return protect(certificates, [bag(shroudedKeyBag, shrouded, own)], password, protection)
}

export interface TrustStoreFields {
  /** Certificates, DER, each under the name (alias) that keytool lists. */
  readonly roots: readonly { readonly der: Buffer; readonly friendlyName: string }[]
  readonly password: string
}

/**
 * Makes a PKCS #12 file without keys, whose certificates Java trusts (`trustedCertEntry`). Throws
 * `usage` for a password that is empty or not ASCII.
 */
export async function makeTrustStore({ roots, password }: TrustStoreFields): Promise<Buffer> {
  if (!isJavaPassword(password))
    throw new RootlingError('usage', 'Java takes only ASCII passwords.', {
      hint: 'Choose one of letters and digits',
    })
  const bags = roots.map(({ der, friendlyName }) =>
    certificateBag(der, [
      attribute(friendlyNameOid, bmpString(friendlyName)),
      attribute(trustedKeyUsage, anyExtendedKeyUsage),
    ]),
  )
  return protect(bags, [], password, modern)
}

/**
 * Returns a random password: 25 characters in groups of five, 123 bits, without characters that
 * look like others.
 */
export function randomPassword(): string {
  const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789'
  const group = () => Array.from({ length: 5 }, () => alphabet[randomInt(alphabet.length)]).join('')
  return Array.from({ length: 5 }, group).join('-')
}

const bag = (type: Buffer, value: Buffer, attributes: readonly Buffer[]): Buffer =>
  sequence(
    type,
    explicit(0, value),
    // DER orders the members of a SET OF.
    ...(attributes.length === 0
      ? []
      : [set(...attributes.toSorted((a, b) => Buffer.compare(a, b)))]),
  )

const certificateBag = (der: Buffer, attributes: readonly Buffer[]): Buffer =>
  bag(certBag, sequence(x509Certificate, explicit(0, octetString(der))), attributes)

const attribute = (type: Buffer, value: Buffer): Buffer => sequence(type, set(value))

/** Encodes a BMPString: UTF-16, big-endian. */
const bmpString = (text: string): Buffer => tlv(0x1e, Buffer.from(text, 'utf16le').swap16())

/**
 * Returns the whole file, a PFX: the encrypted certificates, the keys (each encrypted on its own
 * before), and the MAC over both.
 */
async function protect(
  certificates: readonly Buffer[],
  keys: readonly Buffer[],
  password: string,
  protection: Protection,
): Promise<Buffer> {
  if (password === '' || /[\r\n\0]/.test(password) || password.length > 1000)
    throw new RootlingError('usage', 'This cannot be the password of a PKCS #12 file.', {
      hint: 'Choose one line of 1 to 1000 characters',
    })
  const plain = sequence(...certificates)
  const { algorithm, encrypted } = await protection.encrypt(plain, password, protection.iterations)
  const content = sequence(data, algorithm, implicit(0, encrypted))
  const safes = sequence(
    sequence(encryptedData, explicit(0, sequence(integer(0), content))),
    ...(keys.length === 0 ? [] : [dataContent(sequence(...keys))]),
  )
  return sequence(integer(3), dataContent(safes), macData(safes, password, protection))
}

const dataContent = (contents: Buffer): Buffer => sequence(data, explicit(0, octetString(contents)))

function macData(contents: Buffer, password: string, protection: Protection): Buffer {
  const { digest, digestAlgorithm, iterations } = protection
  const salt = randomBytes(16)
  const key = deriveKey(password, salt, 3, iterations, digest === 'sha1' ? 20 : 32, digest)
  const mac = createHmac(digest, key).update(contents).digest()
  return sequence(
    sequence(digestAlgorithm, octetString(mac)),
    octetString(salt),
    integer(iterations),
  )
}

/** Encrypts with pbeWithSHAAnd3-KeyTripleDES-CBC (RFC 7292 appendix C). */
async function encryptTripleDes(
  plain: Buffer,
  password: string,
  iterations: number,
): Promise<Encrypted> {
  const salt = randomBytes(8)
  const key = deriveKey(password, salt, 1, iterations, 24, 'sha1')
  const iv = deriveKey(password, salt, 2, iterations, 8, 'sha1')
  const cipher = createCipheriv('des-ede3-cbc', key, iv)
  const algorithm = sequence(tripleDes, sequence(octetString(salt), integer(iterations)))
  return { algorithm, encrypted: Buffer.concat([cipher.update(plain), cipher.final()]) }
}

type DeriveKey = (
  password: string,
  salt: forge.util.ByteBuffer,
  id: 1 | 2 | 3,
  iterations: number,
  length: number,
  digest: forge.md.MessageDigest,
) => forge.util.ByteBuffer

// The types of node-forge leave this function out.
const { generatePkcs12Key } = (forge.pki as unknown as { pbe: { generatePkcs12Key: DeriveKey } })
  .pbe

/**
 * Derives octets from a password (RFC 7292 appendix B): `id` 1 makes a key, 2 an IV, 3 a MAC's key.
 * A hundred thousand iterations take half a second.
 */
export function deriveKey(
  password: string,
  salt: Buffer,
  id: 1 | 2 | 3,
  iterations: number,
  length: number,
  digest: 'sha1' | 'sha256' | 'sha384' | 'sha512',
): Buffer {
  const buffer = forge.util.createBuffer(salt.toString('latin1'))
  const hash = forge.md[digest].create()
  const key = generatePkcs12Key(password, buffer, id, iterations, length, hash)
  return Buffer.from(key.getBytes(), 'latin1')
}
