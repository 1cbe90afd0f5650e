import { createHash } from 'node:crypto'
import { explicit, implicit, integer, octetString, sequence, tlv } from './asn1.ts'
import {
  expectExplicit,
  expectBits,
  expectBoolean,
  expectInteger,
  expectOctets,
  expectOid,
  expectSequence,
  isContext,
  isUniversal,
  readDer,
  unexpected,
  type DerValue,
} from './asn1-reader.ts'
import { signed, type Signer } from './certificate.ts'
import { enumerated, reasonCodes, type ReasonName } from './extensions.ts'
import { oids } from './oids.ts'
import type { Validity } from './profiles.ts'

/** In octets. A request about dozens of certificates fits. */
export const longestOcspRequest = 8 * 1024

/** Which certificate is asked about (RFC 6960 §4.1.1). */
export interface CertId {
  /** A name for `createHash`; `null`: an unknown hash. */
  readonly hash: string | null
  readonly issuerNameHash: Buffer
  readonly issuerKeyHash: Buffer
  /** Lower-case hex of whole octets, without a leading zero octet. */
  readonly serialNumber: string
  /** The original octets, which the answer repeats. */
  readonly der: Buffer
}

export interface OcspRequest {
  readonly certIds: readonly CertId[]
  /** The nonce's whole extension, which the answer repeats; `null`: none. */
  readonly nonce: Buffer | null
}

export type CertStatus =
  | { readonly status: 'good' | 'unknown' }
  | { readonly status: 'revoked'; readonly revocationTime: Date; readonly reason: ReasonName }

/** OCSPResponseStatus (RFC 6960 §4.2.1) of the answers that are not signed. */
const errorStatuses = { malformedRequest: 1, internalError: 2, tryLater: 3, unauthorized: 6 }
export type OcspErrorStatus = keyof typeof errorStatuses

const what = 'The OCSP request'
const hashes: Readonly<Record<string, string>> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
}

/**
 * Reads an OCSPRequest (RFC 6960 §4.1.1); a signature on it is ignored. Throws `bad-der` for
 * anything else, for an unknown critical extension, and for a nonce that is empty or longer than
 * 128 octets (RFC 9654).
 */
export function parseOcspRequest(der: Buffer): OcspRequest {
  const top = readDer(der, what, { bytes: longestOcspRequest, depth: 16, values: 2_000 })
  const [tbs, signature, ...more] = expectSequence(top, what)
  if (more.length > 0 || (signature !== undefined && !isContext(signature, 0)))
    throw unexpected(what, 'a request and nothing else')
  const fields = [...expectSequence(tbs, what)]
  if (
    isContext(fields[0], 0) &&
    expectInteger(expectExplicit(fields.shift(), 0, what), what) !== 0n
  )
    throw unexpected(what, 'version 1')
  if (isContext(fields[0], 1)) fields.shift()
  const [list, extensions, ...rest] = fields
  if (rest.length > 0) throw unexpected(what, 'a request and nothing else')
  const certIds = expectSequence(list, what).map(parseRequest)
  if (certIds.length === 0) throw unexpected(what, 'a certificate to ask about')
  return { certIds, nonce: parseExtensions(extensions, 2) }
}

function parseRequest(request: DerValue): CertId {
  const [certId, extensions, ...rest] = expectSequence(request, what)
  if (rest.length > 0) throw unexpected(what, 'one certificate to ask about')
  parseExtensions(extensions, 0)
  const [algorithm, nameHash, keyHash, serialNumber, ...more] = expectSequence(certId, what)
  if (certId === undefined || more.length > 0) throw unexpected(what, 'a CertID')
  const serial = expectInteger(serialNumber, what)
  if (serial < 0n) throw unexpected(what, 'a positive serial number')
  const hex = serial.toString(16)
  return {
    hash: hashes[expectOid(expectSequence(algorithm, what)[0], what)] ?? null,
    issuerNameHash: expectOctets(nameHash, what),
    issuerKeyHash: expectOctets(keyHash, what),
    serialNumber: hex.length % 2 === 0 ? hex : `0${hex}`,
    der: certId.der,
  }
}

/** Returns the nonce's extension among `[n] EXPLICIT Extensions`; `null`: there is none. */
function parseExtensions(value: DerValue | undefined, n: number): Buffer | null {
  if (value === undefined) return null
  let nonce: Buffer | null = null
  for (const extension of expectSequence(expectExplicit(value, n, what), what)) {
    const members = [...expectSequence(extension, what)]
    const oid = members.shift()
    expectOid(oid, what)
    const critical = isUniversal(members[0], 1) && expectBoolean(members.shift(), what)
    const octets = expectOctets(members.shift(), what)
    if (members.length > 0) throw unexpected(what, 'an extension')
    if (oid?.der.equals(oids.ocspNonce) === true) nonce = checkNonce(extension.der, octets)
    else if (critical) throw unexpected(what, 'an extension that is known')
  }
  return nonce
}

function checkNonce(der: Buffer, value: Buffer): Buffer {
  const { length } = expectOctets(readDer(value, what), what)
  if (length === 0 || length > 128) throw unexpected(what, 'a nonce of 1 to 128 octets')
  return der
}

/** The issuer of the certificates asked about, which signs the answer itself. */
export interface OcspIssuer {
  /** The issuer's subject, DER. */
  readonly name: Buffer
  /** The issuer's SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer
}

/** Whether the request names this issuer for the certificate. */
export function isIssuedBy({ hash, issuerNameHash, issuerKeyHash }: CertId, issuer: OcspIssuer) {
  if (hash === null) return false
  const digest = (octets: Buffer): Buffer => createHash(hash).update(octets).digest()
  return (
    digest(issuer.name).equals(issuerNameHash) &&
    digest(publicKeyBits(issuer.spki)).equals(issuerKeyHash)
  )
}

/**
 * Returns the bits of the public key, without algorithm and tag: OCSP's hashes of a key are of
 * these bits.
 */
function publicKeyBits(spki: Buffer): Buffer {
  return expectBits(expectSequence(readDer(spki, 'The key'), 'The key')[1], 'The key')
}

export interface OcspAnswer {
  readonly statuses: readonly (readonly [certId: CertId, status: CertStatus])[]
  /** The request's nonce. */
  readonly nonce: Buffer | null
  readonly thisUpdate: Date
  readonly nextUpdate: Date
}

/**
 * Signs a response that says of a certificate, for as long as it lasts, that it is good, by the SHA-1
 * and the SHA-256 of its issuer, since clients ask by either. A root that signs only once answers so
 * for its intermediate: nginx asks for the status of every certificate of a client but the root.
 */
export function signStandingResponse(
  serialNumber: string,
  { notBefore, notAfter }: Validity,
  issuer: OcspIssuer,
  signer: Signer,
): Promise<Buffer> {
  const good = { status: 'good' } as const
  const statuses = (['sha1', 'sha256'] as const).map(
    (hash) => [certIdOf(serialNumber, hash, issuer), good] as const,
  )
  const answer = { statuses, nonce: null, thisUpdate: notBefore, nextUpdate: notAfter }
  return signOcspResponse(answer, issuer, signer)
}

/** Returns the CertID (RFC 6960 §4.1.1) of a certificate by one of the hashes. */
function certIdOf(serialNumber: string, hash: 'sha1' | 'sha256', issuer: OcspIssuer): CertId {
  const digest = (octets: Buffer): Buffer => createHash(hash).update(octets).digest()
  const issuerNameHash = digest(issuer.name)
  const issuerKeyHash = digest(publicKeyBits(issuer.spki))
  const der = sequence(
    sequence(oids[hash], tlv(0x05)),
    octetString(issuerNameHash),
    octetString(issuerKeyHash),
    integer(Buffer.from(serialNumber, 'hex')),
  )
  return { hash, issuerNameHash, issuerKeyHash, serialNumber, der }
}

/**
 * Signs a successful OCSPResponse with the issuer's own key (RFC 6960 §4.2.2.2) and returns its
 * DER. The response holds no certificate: every client has the issuer's, and Go's client refuses a
 * response that repeats it.
 */
export async function signOcspResponse(
  answer: OcspAnswer,
  issuer: OcspIssuer,
  signer: Signer,
): Promise<Buffer> {
  const { statuses, nonce, thisUpdate, nextUpdate } = answer
  // KeyHash is SHA-1 by definition, whatever the CertIDs use.
  const keyHash = createHash('sha1').update(publicKeyBits(issuer.spki)).digest()
  const data = sequence(
    explicit(2, octetString(keyHash)),
    generalizedTime(thisUpdate),
    sequence(
      ...statuses.map(([certId, status]) =>
        sequence(
          certId.der,
          certStatus(status),
          generalizedTime(thisUpdate),
          explicit(0, generalizedTime(nextUpdate)),
        ),
      ),
    ),
    ...(nonce === null ? [] : [explicit(1, sequence(nonce))]),
  )
  const basic = sequence(oids.ocspBasic, octetString(await signed(data, signer)))
  return sequence(enumerated(0), explicit(0, basic))
}

/** Returns a response without a signature, which says why there is no status. */
export function ocspError(status: OcspErrorStatus): Buffer {
  return sequence(enumerated(errorStatuses[status]))
}

function certStatus(status: CertStatus): Buffer {
  switch (status.status) {
    case 'good':
      return implicit(0, Buffer.alloc(0))
    case 'unknown':
      return implicit(2, Buffer.alloc(0))
    case 'revoked': {
      const code = reasonCodes[status.reason]
      const reason = code === 0 ? [] : [explicit(0, enumerated(code))]
      return explicit(1, generalizedTime(status.revocationTime), ...reason)
    }
  }
}

/** Encodes a GeneralizedTime: unlike certificates, OCSP has no UTCTime. */
function generalizedTime(date: Date): Buffer {
  const text = `${date.toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`
  return tlv(0x18, Buffer.from(text, 'latin1'))
}
