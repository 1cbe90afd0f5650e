import { createHash, createPrivateKey } from 'node:crypto'
import type { AnyScope } from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import { selfSignedScope, type CertificateRecord, type Purpose } from '../storage/records.ts'
import { randomSerialNumber, signWith, type Signer } from '../x509/certificate.ts'
import type { Identifier } from '../x509/identifier.ts'
import type { KeyPairDer } from '../x509/keys.ts'
import { encodePem } from '../x509/pem.ts'
import {
  day,
  emptyName,
  isShortLived,
  leafValidity,
  signClientLeaf,
  signMailLeaf,
  signSelfSigned,
  signServerLeaf,
  type LeafFields,
  type Validity,
} from '../x509/profiles.ts'
import { parseSubject } from '../x509/subject.ts'
import { useOf } from './use.ts'

export interface LeafRequest {
  readonly identifiers: readonly Identifier[]
  readonly purpose: Purpose
  /** The subject (RFC 4514); default: one that is made from `identifiers`. */
  readonly subject?: string | undefined
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer
  /**
   * A KeyType, or what a request's key is. A certificate for an RSA key permits keyEncipherment
   * too.
   */
  readonly keyType: string
  /**
   * A number of days, counted from an hour ago, or the exact dates; never past the issuer's end.
   */
  readonly lifetime: number | Validity
  /**
   * Where OCSP and CRL are served, such as `http://localhost:14680`; default: the certificate names
   * no such URL.
   */
  readonly revocationUrl?: string | undefined
  /** Who chose `revocationUrl`, for the record. */
  readonly responder?: CertificateRecord['responder'] | undefined
  /**
   * `short`: a leaf of seven days and less names no such URL, and has the extension noRevAvail (RFC
   * 9608) instead. Default: it has the URL, as any other; a developer who tries out revocation wants
   * a short life too, and a client that knows the extension would never ask.
   */
  readonly noRevAvail?: 'short' | undefined
}

export interface Leaf {
  readonly der: Buffer
  /** PEM: the leaf, then the intermediate. */
  readonly chain: string
  /** PEM of the certificates between leaf and root. */
  readonly issuers: string
  /** What the record says of the certificate, but for its files. */
  readonly facts: Omit<CertificateRecord, 'certPath' | 'keyPath' | 'extra' | 'onRenew'>
  /** Whether the validity is shorter than asked, because the issuer ends earlier. */
  readonly shortened: boolean
}

const signers = { servers: signServerLeaf, clients: signClientLeaf, mail: signMailLeaf }

/** Signs one leaf; writes nothing. */
export function signLeaf(
  request: LeafRequest,
  scope: AnyScope,
  signer: Signer,
  now: Date,
): Promise<Leaf> {
  const { subject } = request
  const validity = shortenedValidity(request.lifetime, scope.validity.notAfter, now)
  const noRevAvail = request.noRevAvail === 'short' && isShortLived(validity)
  const { revocationUrl, responder } = noRevAvail ? {} : request
  const urls = revocationUrl === undefined ? {} : revocationUrls(revocationUrl, scope.name)
  const sign = signers[useOf(request)]
  const chosen = subject === undefined ? {} : { subject: parseSubject(subject) }
  const named = scope.copies === null ? chosen : { subject: emptyName }
  return makeLeaf({ ...request, revocationUrl, responder }, validity, {
    scope: scope.name,
    issuers: scope.issuers,
    sign: (fields) => sign({ ...fields, ...named, revocationUrls: urls, noRevAvail }, signer),
  })
}

/** Signs a leaf with its own key, so that nobody trusts it by default. */
export function signLeafByItself(
  request: Pick<LeafRequest, 'identifiers' | 'keyType'> & { readonly lifetime: number },
  keys: KeyPairDer,
  now: Date,
): Promise<Leaf> {
  const key = createPrivateKey({ key: keys.pkcs8, format: 'der', type: 'pkcs8' })
  const signing = signWith(key)
  if (signing === null) throw new TypeError('every KeyType has a signature algorithm')
  const validity = shortenedValidity(request.lifetime, new Date(8.64e15), now)
  return makeLeaf({ ...request, purpose: 'server', spki: keys.spki }, validity, {
    scope: selfSignedScope,
    issuers: '',
    sign: (fields) => signSelfSigned(fields, signing),
  })
}

function shortenedValidity(
  lifetime: LeafRequest['lifetime'],
  issuerNotAfter: Date,
  now: Date,
): Validity & { readonly shortened: boolean } {
  if (typeof lifetime === 'number') {
    const { notBefore, notAfter } = leafValidity(now, lifetime, issuerNotAfter)
    return { notBefore, notAfter, shortened: +notAfter - +notBefore < lifetime * day - 1000 }
  }
  const shortened = lifetime.notAfter > issuerNotAfter
  return { ...lifetime, notAfter: shortened ? issuerNotAfter : lifetime.notAfter, shortened }
}

interface LeafIssuer {
  readonly scope: string
  readonly issuers: string
  readonly sign: (fields: LeafFields) => Promise<Buffer>
}

async function makeLeaf(
  request: Omit<LeafRequest, 'lifetime'>,
  { notBefore, notAfter, shortened }: ReturnType<typeof shortenedValidity>,
  { scope, issuers, sign }: LeafIssuer,
): Promise<Leaf> {
  const { identifiers, purpose, subject, spki, keyType, revocationUrl, responder } = request
  const serialNumber = randomSerialNumber()
  const rsa = keyType.startsWith('rsa')
  const der = await sign({ serialNumber, spki, rsa, identifiers, notBefore, notAfter })
  return {
    der,
    issuers,
    chain: encodePem('CERTIFICATE', der) + issuers,
    shortened,
    facts: {
      serialNumber: serialNumber.toString('hex'),
      scope,
      identifiers,
      notBefore: notBefore.toISOString(),
      notAfter: notAfter.toISOString(),
      keyType,
      purpose,
      ...(subject === undefined ? {} : { subject }),
      fingerprint: createHash('sha256').update(der).digest('hex'),
      ...(revocationUrl === undefined ? {} : { revocationUrl }),
      ...(responder === undefined ? {} : { responder }),
    },
  }
}

/**
 * Returns the URLs of OCSP and CRL that a scope's certificates name, below a given one. Throws
 * `usage` for anything but plain HTTP: to ask for a status over TLS, a client would first need the
 * status of that server's certificate.
 */
export function revocationUrls(base: string, scopeName: string): { ocsp: string; crl: string } {
  if (!URL.canParse(base) || new URL(base).protocol !== 'http:' || !/^[\x21-\x7e]+$/.test(base))
    throw new RootlingError('usage', `${base} is not an http:// URL.`, {
      hint: '--revocation-url http://localhost:14680',
    })
  const url = base.replace(/\/+$/, '')
  return { ocsp: `${url}/ocsp`, crl: `${url}/${scopeName}.crl` }
}
