import type { X509Certificate } from 'node:crypto'
import { scopesIn } from '../authority/scope.ts'
import type { CertificateRecord } from '../storage/records.ts'
import type { Change } from '../storage/storage.ts'
import { parseIdentifier, type Identifier } from '../x509/identifier.ts'
import {
  altNameParts,
  fingerprintOf,
  isIssuedBy,
  purposes,
  purposesOf,
  validityOf,
} from '../x509/parsed-certificate.ts'
import { keyTypeOf } from '../x509/public-key.ts'

/**
 * Records a certificate of this authority that is not on record, as after an older backup was
 * restored; `null`: none of its scopes issued it. What the certificate does not say, such as its
 * file, stays unknown.
 */
export async function restoreRecord(
  change: Change,
  place: string,
  certificate: X509Certificate,
): Promise<CertificateRecord | null> {
  const scopes = await scopesIn({ ...change, place })
  const scope = scopes.find(({ intermediate }) => isIssuedBy(certificate, intermediate))
  if (scope === undefined) return null
  const record = recordOf(certificate, scope.name)
  await change.issued([record])
  return record
}

function recordOf(certificate: X509Certificate, scope: string): CertificateRecord {
  const { notBefore, notAfter } = validityOf(certificate)
  const isClients = !purposesOf(certificate).includes(purposes.serverAuth)
  return {
    serialNumber: certificate.serialNumber.toLowerCase().padStart(32, '0'),
    scope,
    identifiers: altNameParts(certificate).flatMap(identifierOf),
    notBefore: notBefore.toISOString(),
    notAfter: notAfter.toISOString(),
    keyType: keyTypeOf(certificate.publicKey, 'The certificate'),
    purpose: isClients ? 'client' : 'server',
    fingerprint: fingerprintOf(certificate),
    certPath: null,
    keyPath: null,
  }
}

/** Returns a name of the subjectAltName, or none where it is of a kind that is not issued here. */
function identifierOf(name: string): Identifier[] {
  const [, value = ''] = /^(?:DNS|IP Address|email|URI):(.*)$/.exec(name) ?? []
  try {
    return [parseIdentifier(value)]
  } catch {
    return []
  }
}
