import { constants, verify } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import * as read from './asn1-reader.ts'
import type { DerValue } from './asn1-reader.ts'
import type { PublicKey } from './public-key.ts'

/** What was signed (DER), the AlgorithmIdentifier beside it, and the signature's octets. */
export interface SignedValue {
  readonly tbs: Buffer
  readonly algorithm: DerValue | undefined
  readonly signature: Buffer
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

/**
 * Whether a key made the signature. `what` begins the error's sentence, such as "The request". Throws
 * `bad-der`, and `bad-key` for an algorithm that is not accepted.
 */
export function isSignedWith(
  { publicKey, keyType }: Omit<PublicKey, 'spki'>,
  { tbs, algorithm, signature }: SignedValue,
  what: string,
): boolean {
  const [oid, parameters] = read.expectSequence(algorithm, what)
  const name = read.expectOid(oid, what)
  if (name === rsaPss) {
    const { digest, saltLength } = pssParameters(parameters, what)
    const padding = constants.RSA_PKCS1_PSS_PADDING
    return keyType.startsWith('rsa') && check(digest, { key: publicKey, padding, saltLength })
  }
  const row = verifications[name]
  if (row === undefined) throw unusualSignature(name, what)
  return row.keyType.test(keyType) && check(row.digest, { key: publicKey })

  function check(digest: string | null, key: Parameters<typeof verify>[2]): boolean {
    try {
      return verify(digest, tbs, key, signature)
    } catch {
      return false
    }
  }
}

/**
 * Reads RSASSA-PSS-params (RFC 4055 §3.1), which must have the same digest for the message and for
 * the mask, as all tools write it.
 */
function pssParameters(
  value: DerValue | undefined,
  what: string,
): { digest: string; saltLength: number } {
  const [hash, mask, salt, ...more] = read.expectSequence(value, what)
  const [digestOid] = read.expectSequence(read.expectExplicit(hash, 0, what), what)
  const [maskOid, maskHash] = read.expectSequence(read.expectExplicit(mask, 1, what), what)
  const [maskDigest] = read.expectSequence(maskHash, what)
  const saltLength = read.expectInteger(read.expectExplicit(salt, 2, what), what)
  const digest = digests[read.expectOid(digestOid, what)]
  if (digest === undefined || digests[read.expectOid(maskDigest, what)] !== digest)
    throw unusualSignature(rsaPss, what)
  if (read.expectOid(maskOid, what) !== mgf1 || more.length > 0)
    throw unusualSignature(rsaPss, what)
  if (saltLength < 0n || saltLength > 512n) throw unusualSignature(rsaPss, what)
  return { digest, saltLength: Number(saltLength) }
}

function unusualSignature(oid: string, what: string): RootlingError {
  const sentence = `${what} is signed with an algorithm that is too old or unusual (${oid.slice(0, 60)}).`
  return new RootlingError('bad-key', sentence, { hint: 'Make it again with openssl req -sha256' })
}
