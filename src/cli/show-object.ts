import type { ShownObject } from '../doctor/objects.ts'
import { fingerprintText } from '../x509/parsed-certificate.ts'
import { shownSubject } from '../x509/shown-subject.ts'
import { timeText, untilText } from './describe.ts'
import { bold, dim, green, hanging, table, yellow, type Line } from './lines.ts'
import type { Output } from './output.ts'
import { shownName } from './shown-name.ts'

/** What the texts of one `show` need. */
export interface Shower {
  readonly now: Date
  readonly output: Output
  /** Names the root of a scope, in brackets after a space; of `null` it returns nothing. */
  readonly ours: (scope: string | null) => string
}

/** Returns what `rootling show` prints of a request, a key, a CRL or an OCSP response. */
export function describeObject(object: ShownObject, { now, output, ours }: Shower): Line[] {
  const { width } = output
  const rows = (pairs: readonly (readonly [string, string | undefined])[]): Line[] =>
    table(
      pairs.flatMap(([title, value]) =>
        value === undefined || value === '' ? [] : [[dim(`  ${title}`), value]],
      ),
      width,
    )
  const span = (from: Date, to: Date | null): string =>
    `${timeText(from)} to ${to === null ? 'an unknown time' : untilText(to, now)}`
  switch (object.type) {
    case 'request':
      return [
        bold('A certification request (CSR)'),
        ...rows([
          ['names', object.names?.map(({ value }) => shownName(value)).join(', ')],
          ['subject', shownSubject(object.subject)],
          ['key', object.key],
        ]),
        ...(object.refused === null
          ? [green('  Nothing known here would refuse it.')]
          : hanging([yellow('Refused by rootling issue --csr:'), ` ${object.refused}`], 2, width)),
      ]
    case 'key':
      return [
        bold(`A private key${object.encrypted ? ', encrypted' : ''}`),
        ...(object.key === null
          ? ['  --password-file FILE, whose first line is its password, shows its public part.']
          : rows([
              ['key', object.key],
              ['SHA-256 of public key', fingerprintText(object.publicKeyFingerprint ?? '')],
            ])),
      ]
    case 'crl':
      return [
        bold('A list of revoked certificates (CRL)'),
        ...rows([
          ['issued by', `${shownSubject(object.issuer)}${ours(object.scope)}`],
          ['valid', span(object.thisUpdate, object.nextUpdate)],
          ['number', object.crlNumber ?? undefined],
          ['revoked', object.revoked.length === 0 ? 'none' : String(object.revoked.length)],
        ]),
        ...table(
          object.revoked.map(({ serialNumber, revocationDate, reason }) => [
            `  ${serialNumber}`,
            timeText(revocationDate),
            reason,
          ]),
          width,
        ),
      ]
    case 'ocsp':
      return [
        bold('An OCSP response'),
        ...rows([
          ['status', object.responseStatus],
          [
            'signed by',
            object.responder === null
              ? undefined
              : `${shownSubject(object.responder)}${ours(object.scope)}`,
          ],
          ['produced', object.producedAt === null ? undefined : timeText(object.producedAt)],
        ]),
        ...table(
          object.statuses.map(({ serialNumber, status, reason, thisUpdate, nextUpdate }) => [
            `  ${serialNumber}`,
            reason === null ? status : `${status}: ${reason}`,
            span(thisUpdate, nextUpdate),
          ]),
          width,
        ),
      ]
  }
}
