import type { Scope } from '../authority/scope.ts'
import { describeHolder as holderOf, type CertificateRecord } from '../storage/records.ts'
import { fingerprintOf, fingerprintText } from '../x509/parsed-certificate.ts'
import { localConstraints } from '../x509/name-constraints.ts'
import { day } from '../x509/profiles.ts'
import { shownName } from './shown-name.ts'

/**
 * Returns how every text for people names a root: by the name of its scope, or else its name in the
 * stores, and the beginning of its fingerprint, such as `local (4a0f2c1b:88d01234)`.
 */
export const rootText = (name: string, fingerprint: string): string =>
  `${name} (${fingerprintText(fingerprint.slice(0, 16))})`

/** Returns how every text for people names the root of a scope. */
export const scopeText = ({ name, root }: Scope): string => rootText(name, fingerprintOf(root))

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
  if (!isLocal)
    return [...constraints.dns.map(shownName), ...constraints.ip].join(', ') || 'no name'
  return ['local names', ...permitted.map(shownName)].join(', ')
}

/** Returns whom a certificate is for, to people: its names, or its subject where it has none. */
export const describeHolder = (record: CertificateRecord): string => holderOf(record, shownName)

/**
 * Returns a moment as every text for people has it: `2027-03-01 14:05 UTC`. UTC, since a certificate
 * says so, and people compare it with what others see.
 */
export const timeText = (date: Date): string =>
  `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`

/** Returns a moment and how far it is from now: `2027-03-01 14:05 UTC (in 92 days)`. */
export function untilText(date: Date, now: Date): string {
  const days = Math.floor(Math.abs(date.getTime() - now.getTime()) / day)
  const span = days === 0 ? 'less than a day' : days === 1 ? '1 day' : `${days} days`
  return `${timeText(date)} (${date < now ? `${span} ago` : `in ${span}`})`
}

/** Returns the day of an ISO timestamp in UTC, for a cell that has no room for the time. */
export function shortDate(iso: string): string {
  return iso.slice(0, 10)
}
