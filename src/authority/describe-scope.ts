import type { NameConstraints } from '../x509/name-constraints.ts'
import { fingerprintOf } from '../x509/parsed-certificate.ts'
import type { AuthorityUse } from '../x509/profiles.ts'
import type { Scope } from './scope.ts'

/** A scope as `--json` prints it and the library returns it: a root, and what it may sign. */
export interface DescribedScope {
  /** Its name, such as `local`. */
  readonly name: string
  /** `servers`: its root belongs into trust stores; the others belong into none. */
  readonly use: AuthorityUse
  /** What `rootling ca permit` was given beyond the local names. */
  readonly permitted: readonly string[]
  /** The domains and address ranges that it may sign; `null`: any name. */
  readonly constraints: NameConstraints | null
  /** Whether programs with OpenSSL are given copies of the root that take no common name. */
  readonly hardened: boolean
  /** SHA-256 of the root’s DER, lower-case hex. */
  readonly fingerprint: string
  /** The common name of the root, under which trust stores list it. */
  readonly subject: string
  /** When the root ends; ISO 8601, UTC. */
  readonly notAfter: string
  /** The absolute path of the root, PEM. */
  readonly rootPath: string
}

/** Returns a scope as `--json` prints it. */
export function describeScope(scope: Scope): DescribedScope {
  return {
    name: scope.name,
    use: scope.use,
    permitted: scope.permitted,
    constraints: scope.constraints,
    hardened: scope.copies !== null,
    fingerprint: fingerprintOf(scope.root),
    subject: commonName(scope),
    notAfter: scope.rootNotAfter.toISOString(),
    rootPath: scope.rootPath,
  }
}

/** Returns the common name of the root, under which trust stores list it. */
export function commonName({ root }: Scope): string {
  return /^CN=(.*)$/m.exec(root.subject)?.[1] ?? root.subject
}
