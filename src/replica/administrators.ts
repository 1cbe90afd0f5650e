import type { X509Certificate } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import { printable } from '../printable.ts'
import { parseIdentifier, type Identifier } from '../x509/identifier.ts'
import { inspectCertificate } from '../x509/inspect.ts'
import { fingerprintOf } from '../x509/parsed-certificate.ts'

/** Tells which client certificates are those of administrators. */
export interface Administrators {
  /** Returns the name under which a certificate is one; `null`: it is none. */
  nameOf(certificate: X509Certificate): string | null
}

/**
 * Reads the e-mail addresses, DNS names, URIs, and SHA-256 fingerprints of administrators' certificates.
 * Throws `usage` for none, and for anything else.
 */
export function readAdministrators(texts: readonly string[]): Administrators {
  if (texts.length === 0)
    throw new RootlingError('usage', 'Nobody is named who may administer over the network.', {
      hint: '--admin alice@team.internal',
    })
  const fingerprints = new Set<string>()
  const names: Identifier[] = []
  for (const text of texts) {
    const digits = text.replaceAll(':', '').toLowerCase()
    if (/^[0-9a-f]{64}$/.test(digits)) fingerprints.add(digits)
    else names.push(readAdministrator(text))
  }
  return {
    nameOf(certificate) {
      const fingerprint = fingerprintOf(certificate)
      if (fingerprints.has(fingerprint)) return fingerprint
      const own = inspectCertificate(certificate.raw).names ?? []
      return (
        names.find(({ type, value }) =>
          own.some((name) => name.type === type && name.value === value),
        )?.value ?? null
      )
    },
  }
}

/** Reads the name of an administrator in a certificate. Throws `usage`. */
export function readAdministrator(text: string): Identifier {
  let cause: unknown
  try {
    const name = parseIdentifier(text)
    if (name.type !== 'ip' && !name.value.includes('*')) return name
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    cause = error
  }
  throw new RootlingError(
    'usage',
    `${printable(text).slice(0, 200)} cannot be the name of an administrator.`,
    { hint: 'An e-mail address, a DNS name or a URI: alice@team.internal', cause },
  )
}
