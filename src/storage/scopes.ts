import { createHash } from 'node:crypto'
import type { NameConstraints } from '../x509/name-constraints.ts'
import type { AuthorityUse } from '../x509/profiles.ts'

/** What is stored of a scope beside its certificates and its key. */
export interface StoredScope {
  readonly name: string
  /** Absent: `servers`. */
  readonly use?: Exclude<AuthorityUse, 'servers'>
  /** ISO 8601, UTC. */
  readonly created: string
  /** What `ca permit` was given beyond the local names. */
  readonly permitted: readonly string[]
  /** `null`: may sign any name. */
  readonly constraints: NameConstraints | null
  /**
   * The issuer's subject (base64 of its DER), subjectKeyIdentifier (hex) and validity, and the end
   * of the root. They are kept here so that signing need not parse a certificate. Dates are ISO
   * 8601, UTC.
   */
  readonly issuerName: string
  readonly issuerKeyIdentifier: string
  readonly notBefore: string
  readonly notAfter: string
  readonly rootNotAfter: string
}

/** A scope as the ceremony makes it, without its key. */
export interface NewScope {
  readonly scope: StoredScope
  /** PEM. */
  readonly root: string
  readonly intermediate: string
  /** The copies that `signRootCopies` makes of a hardened root; absent: it is not hardened. */
  readonly rootCopies?: string | undefined
  /** The root's only CRL, DER: empty, and good until the root's end; `null`: none was made. */
  readonly rootCrl: Buffer | null
  /** The root's only OCSP response, DER: the intermediate is good; absent: none was made. */
  readonly rootOcsp?: Buffer
}

/** A scope with its key, PKCS #8 PEM. */
export interface ScopeWithKey extends NewScope {
  readonly intermediateKey: string
}

/** What anybody may read of a scope, and the SHA-256 of its key's PEM, which gives nothing away. */
export interface PublicHalf extends Pick<
  NewScope,
  'scope' | 'root' | 'intermediate' | 'rootCopies'
> {
  readonly keyDigest: string
}

/**
 * Which of the scopes of one name it is during a rotation: `.next` for the new scope, `.old` for the
 * one that it replaces.
 */
export type RotationPart = '.next' | '.old'

/** Returns the SHA-256 of a text in hex, such as the `keyDigest` of a key's PEM. */
export const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Returns the names of scopes in the order in which they are shown: `local` first. */
export const inOrder = (names: readonly string[]): string[] =>
  names.toSorted((a, b) => Number(b === 'local') - Number(a === 'local') || (a < b ? -1 : 1))
