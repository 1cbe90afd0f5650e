import type { Scope } from '../authority/scope.ts'
import type { CertificateRecord } from '../storage/records.ts'
import type { Identifier } from '../x509/identifier.ts'
import { fingerprintOf } from '../x509/parsed-certificate.ts'
import { day } from '../x509/profiles.ts'

/** Returns a recorded certificate as `--json` prints it; docs/json.md documents its shape. */
export function describeRecord(record: CertificateRecord): Record<string, unknown> {
  return { ...record, names: record.identifiers.map(({ value }) => value) }
}

/** Returns a scope as `--json` prints it. */
export function describeScope(scope: Scope): Record<string, unknown> {
  return {
    name: scope.name,
    permitted: scope.permitted,
    constraints: scope.constraints,
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

/** Returns what a scope may sign, in words. */
export function describeConstraints({ constraints, permitted }: Scope): string {
  if (constraints === null) return 'any name (unconstrained)'
  return permitted.length === 0 ? 'local names' : `local names, ${permitted.join(', ')}`
}

export function describeIdentifiers(identifiers: readonly Identifier[]): string {
  return identifiers.map(({ value }) => value).join(', ')
}

/** Returns the whole days until `notAfter`; negative when it has passed. */
export function daysLeft(notAfter: Date, now: Date): number {
  return Math.floor((notAfter.getTime() - now.getTime()) / day)
}

/** Returns the date of an ISO timestamp without the time, in UTC. */
export function shortDate(iso: string): string {
  return iso.slice(0, 10)
}
