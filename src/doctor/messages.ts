import type { Constraints } from '../x509/foreign-extensions.ts'
import type { Name } from '../x509/foreign-names.ts'
import { freeTypes, isPublicDomain } from '../x509/free-types.ts'
import { shellWord } from '../shell-word.ts'
import type { ShowFinding } from './findings.ts'
import { defaultDays, maximumDays } from '../x509/profiles.ts'

/** A finding in words. */
export interface FindingText {
  /** The clients that refuse the certificate, such as `every client` or `Java`. */
  readonly rejectedBy: string
  /** One sentence. */
  readonly sentence: string
  /** What to do or type. */
  readonly remedy: string
}

const anew = 'Issue a new one: rootling issue NAME'

/** Says what each finding means and what helps. No other place has such sentences. */
export function describeFinding(finding: ShowFinding): FindingText {
  const text = (rejectedBy: string, sentence: string, remedy: string): FindingText => ({
    rejectedBy,
    sentence,
    remedy,
  })
  const everyone = 'every client'
  switch (finding.code) {
    case 'revoked':
      return text(
        'clients that check',
        `It was revoked on ${dayOf(new Date(finding.revokedAt))} (${finding.reason}).`,
        finding.reason === 'certificateHold'
          ? `rootling revoke ${finding.serialNumber} --release`
          : anew,
      )
    case 'expired':
      return text(
        everyone,
        `It ended on ${dayOf(finding.notAfter)}.`,
        'Ask its issuer for a new one, or renew it: rootling renew',
      )
    case 'not-yet-valid':
      return text(
        everyone,
        `It begins only on ${dayOf(finding.notBefore)}.`,
        'Check the clock of this machine, or wait',
      )
    case 'unknown-critical':
      return text(
        everyone,
        `Its extension ${finding.extension} is critical, and clients do not know it.`,
        'Leave the extension out, or make it uncritical',
      )
    case 'repeated-extension':
      return text(
        'Go, OpenSSL and others',
        `Its extension ${finding.extension} occurs more than once, which RFC 5280 forbids; what is said here is of the first.`,
        'Do not trust it, since programs may obey different ones. Issue it anew',
      )
    case 'unused-bits':
      return text(
        'clients that are strict about DER',
        'Its keyUsage sets bits that it says are unused.',
        'Issue it anew; its issuer encodes keyUsage wrongly',
      )
    case 'self-signed':
      return text(
        everyone,
        'It signed itself, so nothing vouches for it.',
        'Let an authority sign it: rootling install, then rootling issue NAME',
      )
    case 'authority-as-leaf':
      return text(
        'Firefox and others',
        'It is an authority’s certificate, not a server’s.',
        'Serve a certificate that it signed, and install it as a root',
      )
    case 'missing-intermediate':
      return text(
        everyone,
        `Its issuer (${finding.issuer}) is an intermediate that does not come with it.`,
        'Append the intermediate to the file, leaf first, and serve that',
      )
    case 'unknown-issuer':
      return text(
        'clients without that issuer',
        `Its issuer (${finding.issuer}) is neither here nor a known root.`,
        'Append the intermediates to the file; install a private root where it has to be trusted',
      )
    case 'no-authority-key-identifier':
      return text(
        'Python 3.13 and strict OpenSSL',
        'It has no authorityKeyIdentifier.',
        'Issue it anew with one, as here: rootling issue',
      )
    case 'responder-stopped':
      return text(
        "Windows' schannel (curl, git) and others that require an answer",
        `It names the daemon's OCSP and CRL at ${finding.url}, where no daemon answers now.`,
        `Start it: rootling daemon start; or renew without: rootling renew ${finding.serialNumber}`,
      )
    case 'no-names':
      return text(everyone, 'It names no host at all.', anew)
    case 'common-name-only':
      return text(
        'browsers, Go, GnuTLS (wget) and rustls',
        `It names ${finding.commonName} only as its common name, which OpenSSL (curl, Python, PHP, Ruby), Node and Java still compare with the host; no name constraint need have stopped its issuer.`,
        `Do not trust it unless you know who made it. Issue it with a subjectAltName: rootling issue ${shellWord(finding.commonName)}`,
      )
    case 'host-not-covered':
      return text(
        everyone,
        `It does not name ${finding.host}.`,
        `Issue one that does: rootling issue ${finding.host}`,
      )
    case 'bare-wildcard':
      return text(
        'browsers, curl, Node and Deno',
        `${finding.name} is a wildcard directly under a top-level name.`,
        `Use one with two labels below the star: ${finding.name.replace('*.', '*.dev.')}`,
      )
    case 'underscore':
      return text(
        'Java',
        `${finding.name} contains an underscore, which a host name may not.`,
        `Use a hyphen: ${finding.name.replaceAll('_', '-')}`,
      )
    case 'outside-constraints':
      return text(
        everyone,
        `${finding.name} is outside the names that ${finding.authority} may sign.`,
        'Permit the name first: rootling ca permit NAME',
      )
    case 'ip-under-constraints':
      return text(
        'Bun',
        `It names the address ${finding.name}, and its authority constrains addresses.`,
        'For Bun, issue a certificate without addresses',
      )
    case 'weak-key':
      return text(
        'browsers, Java and OpenSSL',
        `Its key (${finding.key}) is too short.`,
        'Use P-256, or RSA of 2048 bits or more',
      )
    case 'weak-signature':
      return text(
        everyone,
        `It is signed by ${finding.algorithm}, which can be forged.`,
        'Have it signed with SHA-256',
      )
    case 'ed25519':
      return text('Chromium and Firefox', 'Its key is Ed25519.', 'Use P-256: --key-type p256')
    case 'p521':
      return text('Chromium', 'Its key is P-521.', 'Use P-256 or P-384: --key-type p256')
    case 'rare-key':
      return text('browsers', `Its key is ${finding.key}.`, 'Use P-256: --key-type p256')
    case 'long-validity':
      return text(
        'Apple systems',
        `It is valid for ${finding.days} days; ${maximumDays} are the most.`,
        `Issue it for fewer: --days ${defaultDays}`,
      )
    case 'no-server-auth':
      return text(
        'every client of a server',
        `It is for ${finding.purposes.join(', ')} and not for servers (serverAuth).`,
        finding.purposes.includes('clientAuth')
          ? 'Right for a client; for a server: rootling issue NAME'
          : anew,
      )
    case 'no-ext-key-usage':
      return text(
        'Apple systems',
        'It does not say what it is for (no extKeyUsage).',
        'Issue it with serverAuth, as here: rootling issue',
      )
    case 'no-digital-signature':
      return text(
        'Chromium and Java',
        'Its keyUsage leaves out digitalSignature.',
        'Issue it with digitalSignature, as here: rootling issue',
      )
  }
}

/**
 * Says which names an authority may sign by its nameConstraints; `null` means that it has none.
 * `unconstrained` is the word for an authority that may sign any host name, or IP addresses at
 * large.
 */
export function describeMaySign(constraints: Constraints | null): string {
  if (constraints === null) return 'any name (unconstrained)'
  const free = freeTypes(constraints)
  const only = listText(
    constraints.permitted.filter(({ type }) => !free.some((each) => each === type)),
  )
  const not = listText(constraints.excluded)
  const permitted =
    free.length > 0
      ? [`${freeText(constraints)} (unconstrained)`, ...(only === '' ? [] : [`else only ${only}`])]
      : [only === '' ? 'no host name and no IP address' : `only ${only}`]
  return [...permitted, ...(not === '' ? [] : [`not ${not}`])].join('; ')
}

/** What constraints do not stop; docs/security-lab.md has it client by client. */
export const beyondConstraints =
  'A thief of its key can still use other names with clients that take a common name for a host (curl, Python, Node, Java); browsers, Go and wget refuse them. SECURITY.md says more.'

/** The warning about a root that is unconstrained; `null`: it is not. */
export function unconstrainedWarning(constraints: Constraints | null): string | null {
  if (freeTypes(constraints).length === 0) return null
  const what = freeText(constraints)
  return `This root is unconstrained: it may sign ${what}, and anyone who has its key can impersonate any such site to those who trust it.`
}

function freeText(constraints: Constraints | null): string {
  const ranges = (constraints?.permitted ?? []).filter(({ type }) => type === 'ip')
  const addresses =
    ranges.length === 0 || ranges.some(({ value }) => value.endsWith('/0'))
      ? 'any IP address'
      : `the IP addresses in ${listText(ranges)}`
  const domains = (constraints?.permitted ?? []).filter(
    ({ type, value }) => type === 'dns' && isPublicDomain(value),
  )
  const hosts = domains.length === 0 ? 'any host name' : `any host name in ${listText(domains)}`
  const words = { dns: hosts, ip: addresses } as const
  return freeTypes(constraints)
    .map((type) => words[type])
    .join(' and ')
}

/**
 * Lists constraints, without the hosts of mailboxes and URIs that are also listed as DNS names.
 */
function listText(names: readonly Name[]): string {
  const hosts = new Set(names.flatMap(({ type, value }) => (type === 'dns' ? [value] : [])))
  const titles = { dns: '', ip: '', email: 'e-mail ', uri: 'URI ', directory: '', other: '' }
  return names
    .filter(({ type, value }) => type === 'dns' || !hosts.has(value.replace(/^\./, '')))
    .map(({ type, value }) =>
      type === 'directory' && value === ''
        ? 'any subject that is not empty'
        : `${titles[type]}${value || 'any host name'}`,
    )
    .join(', ')
}

const dayOf = (date: Date): string => date.toISOString().slice(0, 10)
