import { constants, verify, type KeyObject } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import * as read from './asn1-reader.ts'
import type { DerValue } from './asn1-reader.ts'
import { bitString, explicit, integer, sequence, set, utf8String } from './asn1.ts'
import { subjectAltName } from './extensions.ts'
import type { Identifier } from './identifier.ts'
import { signatureAlgorithmOf, signDer } from './keys.ts'
import { oids } from './oids.ts'
import { pemBlocks } from './pem.ts'
import { readPublicKey, type PublicKey } from './public-key.ts'
import { commonNames, requestedNames } from './requested-names.ts'

/** What is used of a CertificationRequest: the key, and the names. */
export interface Request extends PublicKey {
  /** From the subjectAltName; without one, the common names that are names of hosts. */
  readonly names: Identifier[]
  /** The common names, unchanged, also where there is a subjectAltName. */
  readonly commonNames: readonly string[]
}

const what = 'The request'
const maximumBytes = 0x2_0000

/**
 * Reads a CertificationRequest (RFC 2986, PKCS #10), PEM or DER, and checks its signature. Throws
 * `bad-der`, `bad-key` (a weak or unusual key), `bad-name`, or `usage` for a request that asks for
 * what a leaf here never gets: to be a CA, or extensions other than names and usages.
 */
export function readRequest(pemOrDer: Buffer | string): Request {
  return readRequestDer(requestDer(pemOrDer))
}

/** `readRequest` for DER alone. */
export function readRequestDer(der: Buffer): Request {
  const request = read.readDer(der, what, { bytes: maximumBytes })
  const [info, algorithm, signature, ...more] = read.expectSequence(request, what)
  const [version, subject, spki, attributes, ...others] = read.expectSequence(info, what)
  if (info === undefined || spki === undefined || more.length + others.length > 0)
    throw read.unexpected(what, 'a certification request')
  if (read.expectInteger(version, what) !== 0n) throw read.unexpected(what, 'version 1')
  const key = readPublicKey(spki.der, "The request's key")
  if (!verified(info.der, algorithm, read.expectBits(signature, what), key))
    throw new RootlingError('bad-key', 'The request was not signed with the key that it holds.', {
      hint: 'Make it again, with the private key that belongs to it',
    })
  const common = commonNames(subject)
  return { ...key, names: requestedNames(common, attributes), commonNames: common }
}

function requestDer(pemOrDer: Buffer | string): Buffer {
  if (pemOrDer.length > 2 * maximumBytes)
    throw new RootlingError('bad-der', `${what} is larger than anything real.`, {
      hint: 'A request takes about one kilobyte',
    })
  if (typeof pemOrDer !== 'string' && pemOrDer[0] === 0x30) return pemOrDer
  const text = pemOrDer.toString()
  const blocks = pemBlocks(text)
  const requests = blocks.filter(({ label }) => /^(?:NEW )?CERTIFICATE REQUEST$/.test(label))
  const [only] = requests
  if (only !== undefined && requests.length === 1) return only.der
  const found = blocks[0] === undefined ? 'no PEM block' : `a ${blocks[0].label.slice(0, 40)}`
  const fault = requests.length > 1 ? `${requests.length} requests` : `${found} and no request`
  throw new RootlingError('bad-der', `The request's file holds ${fault}.`, {
    hint: 'openssl req -new -key key.pem -subj / -addext subjectAltName=DNS:localhost',
  })
}

interface Verification {
  readonly keyType: RegExp
  /** `null`: the algorithm has a digest of its own. */
  readonly digest: string | null
}

/**
 * The signature algorithms that are accepted (RFC 4055, RFC 5758, RFC 8410), by object identifier.
 * SHA-1 and MD5 are refused: no current tool signs with them.
 */
const verifications: Readonly<Record<string, Verification>> = {
  '1.2.840.113549.1.1.11': { keyType: /^rsa/, digest: 'sha256' },
  '1.2.840.113549.1.1.12': { keyType: /^rsa/, digest: 'sha384' },
  '1.2.840.113549.1.1.13': { keyType: /^rsa/, digest: 'sha512' },
  '1.2.840.10045.4.3.2': { keyType: /^p/, digest: 'sha256' },
  '1.2.840.10045.4.3.3': { keyType: /^p/, digest: 'sha384' },
  '1.2.840.10045.4.3.4': { keyType: /^p/, digest: 'sha512' },
  '1.3.101.112': { keyType: /^ed25519$/, digest: null },
}
const rsaPss = '1.2.840.113549.1.1.10'
const mgf1 = '1.2.840.113549.1.1.8'
const digests: Readonly<Record<string, string>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
}

function verified(
  signed: Buffer,
  algorithm: DerValue | undefined,
  signature: Buffer,
  { publicKey, keyType }: PublicKey,
): boolean {
  const [oid, parameters] = read.expectSequence(algorithm, what)
  const name = read.expectOid(oid, what)
  if (name === rsaPss) {
    const { digest, saltLength } = pssParameters(parameters)
    const padding = constants.RSA_PKCS1_PSS_PADDING
    return keyType.startsWith('rsa') && check(digest, { key: publicKey, padding, saltLength })
  }
  const row = verifications[name]
  if (row === undefined) throw unusualSignature(name)
  return row.keyType.test(keyType) && check(row.digest, { key: publicKey })

  function check(digest: string | null, key: Parameters<typeof verify>[2]): boolean {
    try {
      return verify(digest, signed, key, signature)
    } catch {
      return false
    }
  }
}

/**
 * Reads RSASSA-PSS-params (RFC 4055 §3.1), which must have the same digest for the message and for
 * the mask, as all tools write it.
 */
function pssParameters(value: DerValue | undefined): { digest: string; saltLength: number } {
  const [hash, mask, salt, ...more] = read.expectSequence(value, what)
  const [digestOid] = read.expectSequence(read.expectExplicit(hash, 0, what), what)
  const [maskOid, maskHash] = read.expectSequence(read.expectExplicit(mask, 1, what), what)
  const [maskDigest] = read.expectSequence(maskHash, what)
  const saltLength = read.expectInteger(read.expectExplicit(salt, 2, what), what)
  const digest = digests[read.expectOid(digestOid, what)]
  if (digest === undefined || digests[read.expectOid(maskDigest, what)] !== digest)
    throw unusualSignature(rsaPss)
  if (read.expectOid(maskOid, what) !== mgf1 || more.length > 0) throw unusualSignature(rsaPss)
  if (saltLength < 0n || saltLength > 512n) throw unusualSignature(rsaPss)
  return { digest, saltLength: Number(saltLength) }
}

function unusualSignature(oid: string): RootlingError {
  const sentence = `The request is signed with an algorithm that is too old or unusual (${oid.slice(0, 60)}).`
  return new RootlingError('bad-key', sentence, { hint: 'Make it again with openssl req -sha256' })
}

export interface RequestFields {
  readonly identifiers: readonly Identifier[]
  /** SubjectPublicKeyInfo, DER. */
  readonly keys: { readonly spki: Buffer }
  /** The private key that belongs to `keys`. */
  readonly key: KeyObject
}

/**
 * Signs a CertificationRequest for another authority and returns its DER. The names are in an
 * extensionRequest (RFC 2985 §5.4.2). Where the first name is a host's, it is the common name too,
 * since some authorities refuse an empty subject. Throws `bad-key` for a key that cannot sign here.
 */
export function makeRequest({ identifiers, keys, key }: RequestFields): Buffer {
  const algorithm = signatureAlgorithmOf(key)
  if (algorithm === null)
    throw new RootlingError('bad-key', 'This type of key signs no requests here.', {
      hint: 'Use P-256, P-384, Ed25519 or RSA',
    })
  const [first] = identifiers
  if (first === undefined)
    throw new RootlingError('usage', 'A request needs a name.', {
      hint: 'rootling request localhost',
    })
  const host = first.type === 'dns' || first.type === 'ip' ? first.value : null
  const subject =
    host === null || host.length > 64
      ? sequence()
      : sequence(set(sequence(oids.commonName, utf8String(host))))
  const extensions = sequence(subjectAltName(identifiers, subject.length === 2))
  const attributes = explicit(0, sequence(oids.extensionRequest, set(extensions)))
  const info = sequence(integer(0), subject, keys.spki, attributes)
  return sequence(info, algorithm.identifier, bitString(signDer(info, algorithm, key)))
}
