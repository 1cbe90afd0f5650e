import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { commonNameOnly } from '../x509/common-name.ts'
import type { Constraints } from '../x509/foreign-extensions.ts'
import type { Name } from '../x509/foreign-names.ts'
import { isBareWildcard, type Identifier } from '../x509/identifier.ts'
import type { CertificateFacts } from '../x509/inspect.ts'
import { inRange, ipBytes, parseIpRange } from '../x509/ip.ts'
import { day, maximumDays } from '../x509/profiles.ts'
import type { Revocation } from '../x509/revocation.ts'

/** Something about a certificate that some client refuses; `describeFinding` puts it in words. */
export type ShowFinding =
  | { readonly code: 'expired'; readonly notAfter: Date }
  | { readonly code: 'not-yet-valid'; readonly notBefore: Date }
  | ({ readonly code: 'revoked' } & Revocation)
  | { readonly code: 'responder-stopped'; readonly url: string; readonly serialNumber: string }
  | { readonly code: 'no-names' }
  | { readonly code: 'common-name-only'; readonly commonName: string }
  | { readonly code: 'host-not-covered'; readonly host: string }
  | { readonly code: 'bare-wildcard'; readonly name: string }
  | { readonly code: 'underscore'; readonly name: string }
  | { readonly code: 'long-validity'; readonly days: number }
  | { readonly code: 'weak-key'; readonly key: string }
  | { readonly code: 'weak-signature'; readonly algorithm: string }
  | { readonly code: 'ed25519' }
  | { readonly code: 'p521' }
  | { readonly code: 'rare-key'; readonly key: string }
  | { readonly code: 'no-server-auth'; readonly purposes: readonly string[] }
  | { readonly code: 'no-ext-key-usage' }
  | { readonly code: 'no-digital-signature' }
  | { readonly code: 'no-authority-key-identifier' }
  | { readonly code: 'unknown-critical'; readonly extension: string }
  | { readonly code: 'repeated-extension'; readonly extension: string }
  | { readonly code: 'unused-bits' }
  | { readonly code: 'self-signed' }
  | { readonly code: 'authority-as-leaf' }
  | { readonly code: 'missing-intermediate'; readonly issuer: string }
  | { readonly code: 'unknown-issuer'; readonly issuer: string }
  | { readonly code: 'outside-constraints'; readonly name: string; readonly authority: string }
  | { readonly code: 'ip-under-constraints'; readonly name: string }

/** The circumstances of a certificate: where it is used, and which authorities are above it. */
export interface Surroundings {
  readonly now: Date
  /** The host that showed the certificate; `null` when it comes from a file. */
  readonly host: string | null
  /** Whether the certificate is used by a server or client, and not to sign others. */
  readonly leaf: boolean
  /** The known authorities above the certificate, nearest first. */
  readonly issuers: readonly CertificateFacts[]
  readonly missing: 'intermediate' | 'issuer' | null
  readonly revocation: Revocation | null
  /**
   * The URL in the certificate where the daemon should answer and does not; `null` when there is
   * none.
   */
  readonly unanswered: string | null
}

/** Everything that some client would refuse about one certificate, the gravest first. */
export function findingsOf(facts: CertificateFacts, around: Surroundings): ShowFinding[] {
  return [
    ...standingFindings(facts, around),
    ...(around.leaf ? [...chainFindings(facts, around), ...nameFindings(facts, around)] : []),
    ...keyFindings(facts, around),
    ...(around.leaf ? purposeFindings(facts) : []),
  ]
}

function standingFindings(facts: CertificateFacts, around: Surroundings): ShowFinding[] {
  const { notBefore, notAfter } = facts
  const { now, revocation, unanswered } = around
  return [
    ...(revocation === null ? [] : [{ code: 'revoked' as const, ...revocation }]),
    ...(notAfter < now ? [{ code: 'expired' as const, notAfter }] : []),
    ...(notBefore > now ? [{ code: 'not-yet-valid' as const, notBefore }] : []),
    ...facts.unknownCritical.map((extension) => ({ code: 'unknown-critical' as const, extension })),
    ...facts.repeatedExtensions.map((extension) => ({
      code: 'repeated-extension' as const,
      extension,
    })),
    ...(facts.unusedBitsSet ? [{ code: 'unused-bits' as const }] : []),
    ...(unanswered === null
      ? []
      : [
          {
            code: 'responder-stopped' as const,
            url: unanswered,
            serialNumber: facts.serialNumber,
          },
        ]),
  ]
}

function chainFindings(facts: CertificateFacts, { missing }: Surroundings): ShowFinding[] {
  if (facts.selfSigned) return [{ code: facts.ca ? 'authority-as-leaf' : 'self-signed' }]
  const above: ShowFinding[] = []
  if (missing === 'intermediate') above.push({ code: 'missing-intermediate', issuer: facts.issuer })
  if (missing === 'issuer') above.push({ code: 'unknown-issuer', issuer: facts.issuer })
  if (facts.ca) above.push({ code: 'authority-as-leaf' })
  if (!facts.hasAuthorityKeyIdentifier) above.push({ code: 'no-authority-key-identifier' })
  return above
}

function nameFindings(facts: CertificateFacts, around: Surroundings): ShowFinding[] {
  const names = facts.names ?? []
  const hosts = names.filter(({ type }) => type === 'dns' || type === 'ip')
  const commonName = commonNameOnly(facts)
  const found: ShowFinding[] = []
  // A certificate for clients or mail alone needs no host.
  if (isForServers(facts)) {
    if (commonName !== null) found.push({ code: 'common-name-only', commonName })
    else if (names.length === 0) found.push({ code: 'no-names' })
  }
  const { host } = around
  if (host !== null && hosts.length > 0 && !covers(facts, host))
    found.push({ code: 'host-not-covered', host })
  for (const { type, value } of names) {
    if (type !== 'dns') continue
    const identifier: Identifier = { type, value }
    if (isBareWildcard(identifier)) found.push({ code: 'bare-wildcard', name: value })
    if (value.includes('_')) found.push({ code: 'underscore', name: value })
  }
  return [...found, ...constraintFindings(names, around.issuers)]
}

function covers({ der }: CertificateFacts, host: string): boolean {
  const certificate = new X509Certificate(der)
  const match = isIP(host) > 0 ? certificate.checkIP(host) : certificate.checkHost(host)
  return match !== undefined
}

function constraintFindings(
  names: readonly Name[],
  issuers: readonly CertificateFacts[],
): ShowFinding[] {
  const found: ShowFinding[] = []
  for (const name of names) {
    const against = issuers.find(
      ({ nameConstraints }) => nameConstraints !== null && !allows(nameConstraints, name),
    )
    if (against !== undefined)
      found.push({ code: 'outside-constraints', name: name.value, authority: against.subject })
  }
  const address = names.find(({ type }) => type === 'ip')
  const constrained = issuers.some(
    ({ nameConstraints: constraints }) =>
      constraints !== null &&
      [...constraints.permitted, ...constraints.excluded].some(({ type }) => type === 'ip'),
  )
  if (address !== undefined && constrained)
    found.push({ code: 'ip-under-constraints', name: address.value })
  return found
}

/**
 * Whether the constraints of an authority allow a name (RFC 5280 §4.2.1.10): without a permitted
 * subtree of its type every name passes; exclusion wins.
 */
function allows({ permitted, excluded }: Constraints, name: Name): boolean {
  const same = (base: Name): boolean => base.type === name.type
  if (excluded.some((base) => same(base) && isBelow(name, base.value))) return false
  const bases = permitted.filter(same)
  return bases.length === 0 || bases.some((base) => isBelow(name, base.value))
}

function isBelow({ type, value }: Name, base: string): boolean {
  switch (type) {
    case 'ip': {
      const range = parseIpRange(base)
      return range !== null && inRange(ipBytes(value), range)
    }
    case 'dns':
      return isHostBelow(value.replace(/^\*\./, ''), base.replace(/^\./, ''))
    case 'email':
      if (base.includes('@')) return value.toLowerCase() === base.toLowerCase()
      return isExactly(value.slice(value.lastIndexOf('@') + 1), base)
    case 'uri':
      return URL.canParse(value) && isExactly(new URL(value).hostname, base)
    case 'directory':
    case 'other':
      return true
  }
}

const isHostBelow = (host: string, base: string): boolean =>
  base === '' || `.${host.toLowerCase()}`.endsWith(`.${base.toLowerCase()}`)
/**
 * Whether a host is below a constraint for mailboxes or URIs: a host there means that host alone;
 * with a leading dot, all hosts below it.
 */
const isExactly = (host: string, base: string): boolean =>
  base.startsWith('.')
    ? host.toLowerCase().endsWith(base.toLowerCase())
    : host.toLowerCase() === base.toLowerCase()

const usualKeys = new Set(['P-256', 'P-384'])

function keyFindings(facts: CertificateFacts, { leaf }: Surroundings): ShowFinding[] {
  const { name, rsaBits } = facts.key
  const found: ShowFinding[] = []
  if (rsaBits !== null && rsaBits < 2048) found.push({ code: 'weak-key', key: name })
  // No client checks the signature of a root on itself.
  if (/sha1|md5|md2/i.test(facts.signatureAlgorithm) && (leaf || !facts.selfSigned))
    found.push({ code: 'weak-signature', algorithm: facts.signatureAlgorithm })
  if (name === 'Ed25519') found.push({ code: 'ed25519' })
  else if (name === 'P-521') found.push({ code: 'p521' })
  else if (rsaBits === null && !usualKeys.has(name)) found.push({ code: 'rare-key', key: name })
  const days = Math.ceil((facts.notAfter.getTime() - facts.notBefore.getTime()) / day)
  if (leaf && days > maximumDays) found.push({ code: 'long-validity', days })
  return found
}

const isForServers = ({ extKeyUsage }: Pick<CertificateFacts, 'extKeyUsage'>): boolean =>
  extKeyUsage === null ||
  extKeyUsage.includes('serverAuth') ||
  extKeyUsage.includes('anyExtendedKeyUsage')

function purposeFindings({ extKeyUsage, keyUsage }: CertificateFacts): ShowFinding[] {
  const found: ShowFinding[] = []
  if (extKeyUsage === null) found.push({ code: 'no-ext-key-usage' })
  else if (!isForServers({ extKeyUsage }))
    found.push({ code: 'no-server-auth', purposes: extKeyUsage })
  if (keyUsage !== null && !keyUsage.includes('digitalSignature'))
    found.push({ code: 'no-digital-signature' })
  return found
}
