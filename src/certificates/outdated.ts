import type { Scope } from '../authority/scope.ts'
import type { CertificateRecord } from '../storage/records.ts'
import { purposes, purposesOf } from '../x509/parsed-certificate.ts'

/** What an older version made, and what `rotate` replaces. */
export interface Outdated {
  readonly scopes: readonly Scope[]
  /** The certificates that those scopes signed. */
  readonly certificates: readonly CertificateRecord[]
}

/**
 * Finds the scopes of servers whose key can sign certificates for clients and mail too, as older
 * versions made them, and which of the given certificates they signed. Roots of other programs are
 * left out.
 */
export function findOutdated(
  scopes: readonly Scope[],
  certificates: readonly CertificateRecord[],
): Outdated {
  const outdated = scopes.filter(
    ({ use, direct, intermediate }) =>
      use === 'servers' && !direct && purposesOf(intermediate).join() !== purposes.serverAuth,
  )
  const names = new Set(outdated.map(({ name }) => name))
  return { scopes: outdated, certificates: certificates.filter(({ scope }) => names.has(scope)) }
}
