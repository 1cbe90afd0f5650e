import { createHash } from 'node:crypto'
import type { Scope } from './authority.ts'
import { RootlingError } from './errors.ts'
import type { CertificateRecord, Purpose } from './storage/certificate-store.ts'
import { randomSerialNumber, type Signer } from './x509/certificate.ts'
import type { Identifier } from './x509/identifier.ts'
import { encodePem } from './x509/pem.ts'
import { day, leafValidity, signClientLeaf, signServerLeaf } from './x509/profiles.ts'

export interface LeafRequest {
  readonly identifiers: readonly Identifier[]
  readonly purpose: Purpose
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer
  /** A KeyType, or what a request's key is; RSA keys may also encipher. */
  readonly keyType: string
  readonly days: number
  /** A responder's, such as `http://localhost:14680`; default: the certificate names none. */
  readonly revocationUrl?: string | undefined
}

export interface Leaf {
  readonly der: Buffer
  /** PEM: the leaf, then the intermediate. */
  readonly chain: string
  /** PEM: what stands between leaf and root. */
  readonly issuers: string
  /** What the record says of it, but for its files. */
  readonly facts: Omit<CertificateRecord, 'certPath' | 'keyPath' | 'extra' | 'onRenew'>
  /** Whether the issuer's end cut its validity short. */
  readonly shortened: boolean
}

/** Signs one leaf; writes nothing. */
export function signLeaf(request: LeafRequest, scope: Scope, signer: Signer, now: Date): Leaf {
  const { identifiers, purpose, spki, keyType, days, revocationUrl } = request
  const urls = revocationUrl === undefined ? {} : revocationUrls(revocationUrl, scope.name)
  const serialNumber = randomSerialNumber()
  const validity = leafValidity(now, days, new Date(scope.intermediate.validTo))
  const rsa = keyType.startsWith('rsa')
  const sign = purpose === 'client' ? signClientLeaf : signServerLeaf
  const der = sign(
    { serialNumber, spki, rsa, identifiers, revocationUrls: urls, ...validity },
    signer,
  )
  const issuers = scope.direct ? '' : scope.intermediate.toString()
  return {
    der,
    issuers,
    chain: encodePem('CERTIFICATE', der) + issuers,
    shortened: +validity.notAfter - +validity.notBefore < days * day - 1000,
    facts: {
      serialNumber: serialNumber.toString('hex'),
      scope: scope.name,
      identifiers,
      notBefore: validity.notBefore.toISOString(),
      notAfter: validity.notAfter.toISOString(),
      keyType,
      purpose,
      fingerprint: createHash('sha256').update(der).digest('hex'),
      ...(revocationUrl === undefined ? {} : { revocationUrl }),
    },
  }
}

/**
 * Where a scope's certificates say that their status can be asked, below a responder's URL.
 * Throws `usage` for anything but plain HTTP: to check a status over TLS, one would need a status.
 */
export function revocationUrls(base: string, scopeName: string): { ocsp: string; crl: string } {
  if (!URL.canParse(base) || new URL(base).protocol !== 'http:' || !/^[\x21-\x7e]+$/.test(base))
    throw new RootlingError('usage', `${base} is not an http:// URL.`, {
      hint: '--revocation-url http://localhost:14680',
    })
  const url = base.replace(/\/+$/, '')
  return { ocsp: `${url}/ocsp`, crl: `${url}/${scopeName}.crl` }
}
