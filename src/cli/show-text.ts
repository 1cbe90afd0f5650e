import { readScopes } from '../authority/scope.ts'
import { inspectionOf } from '../doctor/inspection.ts'
import { describeFinding, describeMaySign, unconstrainedWarning } from '../doctor/messages.ts'
import {
  longestChain,
  show,
  type Shown,
  type ShownCertificate,
  type ShowTarget,
} from '../doctor/show.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import type { Constraints } from '../x509/foreign-extensions.ts'
import type { CertificateFacts } from '../x509/inspect.ts'
import { fingerprintText } from '../x509/parsed-certificate.ts'
import { shownSubject } from '../x509/shown-subject.ts'
import type { Context } from './context.ts'
import { describeHolder, scopeText, shortDate, timeText, untilText } from './describe.ts'
import { blankBetween, bold, dim, green, hanging, table, yellow, type Line } from './lines.ts'
import { describeObject, type Shower } from './show-object.ts'
import { shownName } from './shown-name.ts'

/**
 * Prints what the certificates of targets say; `word` names the targets as the user typed it. Only
 * with `several` there may be more than one.
 */
export async function printShown(
  word: string,
  targets: readonly ShowTarget[],
  { state, output, now }: Context,
  several = false,
): Promise<void> {
  const at = now()
  const shower: Shower = { now: at, output, ours: await namerOfScopes(state) }
  const blocks: (readonly Line[])[] = []
  const results: Record<string, unknown>[] = []
  for (const target of targets) {
    const shown = await show(state, target, at)
    for (const sentence of shown.unreadable) output.warn(sentence)
    blocks.push(describeShown(shown, shower))
    results.push({ target: word, ...inspectionOf(target.from, shown, at) })
  }
  output.result(blankBetween(blocks), several ? { shown: results } : { ...results[0] })
}

/** Returns what names the root of a scope, after the issuer that a certificate names. */
async function namerOfScopes(state: StateDirectory): Promise<Shower['ours']> {
  const scopes = await readScopes(state)
  return (name) => {
    const scope = scopes.find((each) => each.name === name)
    return name === null ? '' : ` (our root ${scope === undefined ? name : scopeText(scope)})`
  }
}

function describeShown(shown: Shown, shower: Shower): Line[] {
  const { record, revocation, certificates, objects } = shown
  const { now, output } = shower
  if (certificates.length > longestChain)
    return blankBetween([
      certificates.map((certificate, i) => describeBriefly(certificate, i + 1, now)),
      ...objects.map((object) => describeObject(object, shower)),
    ])
  if (certificates.length + objects.length > 0)
    return blankBetween([
      ...certificates.map((certificate, i) => {
        const number = certificates.length > 1 ? `${i + 1}. ` : ''
        return describeOne(certificate, number, shower)
      }),
      ...objects.map((object) => describeObject(object, shower)),
    ])
  if (record === null) return []
  const { notBefore, notAfter, certPath } = record
  const where =
    certPath === null
      ? 'It was printed, not written.'
      : `${output.path(certPath)} holds it no more.`
  const validity = `valid ${timeText(new Date(notBefore))} to ${untilText(new Date(notAfter), now)}`
  const revoked = revocation === null ? '' : ` Revoked: ${revokedText(true, revocation)}.`
  return hanging(
    `Issued here for ${describeHolder(record)}, ${validity}. ${where}${revoked}`,
    2,
    output.width,
    0,
  )
}

/** Returns one line of a bundle: number, name, last day, and the beginning of the fingerprint. */
function describeBriefly({ facts }: ShownCertificate, number: number, now: Date): Line {
  const { subject, commonNames, notAfter, fingerprint } = facts
  const name = commonNames.at(-1) ?? (subject || 'without a name')
  const short = name.length > 34 ? `${name.slice(0, 33)}…` : name
  const day = shortDate(notAfter.toISOString())
  const until = notAfter < now ? yellow(`expired ${day}`) : `until ${day}`
  return [
    `${String(number).padStart(5)}  ${short.padEnd(34)}  `,
    until,
    `  ${fingerprintText(fingerprint.slice(0, 16))}`,
  ]
}

function describeOne(shown: ShownCertificate, number: string, shower: Shower): Line[] {
  const { output } = shower
  const { facts, findings } = shown
  const rows = rowsOf(shown, shower).map(([title, value]) => [dim(`  ${title}`), value])
  const refusals = findings
    .map(describeFinding)
    .flatMap(({ rejectedBy, sentence, remedy }): Line[] => [
      ...hanging([yellow(`Refused by ${rejectedBy}:`), ` ${sentence}`], 2, output.width),
      ...hanging([dim('→'), ` ${output.hint(remedy)}`], 4, output.width),
    ])
  const verdict: readonly Line[] =
    refusals.length > 0 ? refusals : [green('  Nothing known here would refuse it.')]
  const warning = shown.role === 'root' ? unconstrainedWarning(facts.nameConstraints) : null
  return [
    bold(number + titleOf(shown, facts)),
    ...table(rows, output.width),
    ...(warning === null ? [] : hanging(yellow(warning), 2, output.width)),
    ...verdict,
  ]
}

function titleOf({ role }: ShownCertificate, { extKeyUsage, selfSigned }: CertificateFacts) {
  if (role === 'root') return 'A root: an authority that signed itself'
  if (role === 'intermediate') return 'An intermediate: an authority that a higher one signed'
  const kinds = { serverAuth: 'a server', clientAuth: 'a client', emailProtection: 'mail' }
  const purposes = Object.entries(kinds).flatMap(([oid, kind]) =>
    extKeyUsage?.includes(oid) === true ? [kind] : [],
  )
  const purpose = purposes.length === 0 ? '' : ` for ${purposes.join(' and ')}`
  return `A ${selfSigned ? 'self-signed ' : ''}certificate${purpose}`
}

function rowsOf(shown: ShownCertificate, { now, ours }: Shower): [title: string, value: string][] {
  const { facts, scope, chain, record, revocation } = shown
  const { names, nameConstraints, keyUsage, extKeyUsage, ocspUrls, crlUrls } = facts
  const usages = [...(keyUsage ?? []), ...(extKeyUsage ?? [])]
  return [
    ...row('names', names?.map(({ value }) => shownName(value)).join(', ')),
    ...row('subject', shownSubject(facts.subject)),
    ...row(
      'issued by',
      `${facts.selfSigned ? 'itself' : shownSubject(facts.issuer)}${ours(scope)}`,
    ),
    ...row('valid', validText(facts, now)),
    ...row('key', facts.key.name),
    ...row('signature', facts.signatureAlgorithm),
    ...row('usages', usages.join(', ')),
    ...row('may sign', facts.ca ? authorityText(facts.pathLength, nameConstraints) : ''),
    ...row('chain', facts.selfSigned ? '' : chainTexts[chain]),
    ...row('status', [...ocspUrls, ...crlUrls].join(', ')),
    ...row('revoked', revokedText(record !== null, revocation)),
    ...row('serial', facts.serialNumber),
    ...row('SHA-256', fingerprintText(facts.fingerprint)),
  ]
}

const row = (title: string, value: string | undefined): [string, string][] =>
  value === undefined || value === '' ? [] : [[title, value]]

const chainTexts = {
  complete: 'complete',
  incomplete: 'incomplete: the intermediate is missing',
  unknown: 'ends at an issuer that is not known here',
} as const satisfies Record<ShownCertificate['chain'], string>

function validText({ notBefore, notAfter }: CertificateFacts, now: Date): string {
  const begins = notBefore > now ? ', not yet begun' : ''
  return `${timeText(notBefore)} to ${untilText(notAfter, now)}${begins}`
}

function revokedText(
  issuedHere: boolean,
  revocation: { reason: string; revokedAt: string } | null,
): string {
  if (!issuedHere) return ''
  return revocation === null
    ? 'no'
    : `${revocation.reason}, on ${timeText(new Date(revocation.revokedAt))}`
}

function authorityText(pathLength: number | null, constraints: Constraints | null): string {
  const below =
    pathLength === null
      ? 'authorities below it without limit'
      : pathLength === 0
        ? 'no authority below it'
        : `${pathLength} level${pathLength === 1 ? '' : 's'} of authorities below it`
  return `${describeMaySign(constraints)}; ${below}`
}
