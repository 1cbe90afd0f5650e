import type { Scope } from '../authority/scope.ts'
import type { CertificateRecord } from '../storage/records.ts'
import { fingerprintOf } from '../x509/parsed-certificate.ts'
import { localConstraints } from '../x509/name-constraints.ts'
import { day } from '../x509/profiles.ts'

/** Returns a recorded certificate as `--json` prints it; docs/json.md documents its shape. */
export function describeRecord(record: CertificateRecord): Record<string, unknown> {
  return { ...record, names: record.identifiers.map(({ value }) => value) }
}

/** Returns a scope as `--json` prints it. */
export function describeScope(scope: Scope): Record<string, unknown> {
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

/** Returns what a scope may sign, in words. */
export function describeConstraints({
  use,
  constraints,
  permitted,
}: Pick<Scope, 'use' | 'constraints' | 'permitted'>): string {
  if (use === 'clients') return 'client certificates'
  if (use === 'mail') return 'certificates for mail'
  if (use === 'private') return 'any name, but no trust store holds its root'
  if (constraints === null) return 'any name (unconstrained)'
  // A root that was adopted has constraints of its own.
  const isLocal = localConstraints.dns.every((name) => constraints.dns.includes(name))
  if (!isLocal) return [...constraints.dns, ...constraints.ip].join(', ') || 'no name'
  return permitted.length === 0 ? 'local names' : `local names, ${permitted.join(', ')}`
}

/** Returns the whole days until `notAfter`; negative when it has passed. */
export function daysLeft(notAfter: Date, now: Date): number {
  return Math.floor((notAfter.getTime() - now.getTime()) / day)
}

/** Returns the date of an ISO timestamp without the time, in UTC. */
export function shortDate(iso: string): string {
  return iso.slice(0, 10)
}
