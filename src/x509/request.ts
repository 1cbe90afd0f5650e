import type { KeyObject } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import * as read from './asn1-reader.ts'
import { bitString, explicit, integer, sequence, set, utf8String } from './asn1.ts'
import { subjectAltName } from './extensions.ts'
import type { Identifier } from './identifier.ts'
import { signatureAlgorithmOf, signDer } from './keys.ts'
import { oids } from './oids.ts'
import { pemBlocks } from './pem.ts'
import { readPublicKey, type PublicKey } from './public-key.ts'
import { commonNames, requestedNames } from './requested-names.ts'
import { isSignedWith } from './signature.ts'

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
  const signed = { tbs: info.der, algorithm, signature: read.expectBits(signature, what) }
  if (!isSignedWith(key, signed, what))
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
