import type { ShownObject } from '../doctor/objects.ts'
import { bold, dim, green, table, yellow, type Line } from './lines.ts'

/** Returns what `rootling show` prints of a request, a key, a CRL or an OCSP response. */
export function describeObject(object: ShownObject): Line[] {
  switch (object.type) {
    case 'request':
      return [
        bold('A certification request (CSR)'),
        ...rows([
          ['names', object.names?.map(({ value }) => value).join(', ')],
          ['subject', object.subject],
          ['key', object.key],
        ]),
        object.refused === null
          ? green('  Nothing known here would refuse it.')
          : ['  ', yellow('Refused by rootling issue --csr:'), ` ${object.refused}`],
      ]
    case 'key':
      return [
        bold(`A private key${object.encrypted ? ', encrypted' : ''}`),
        ...(object.key === null
          ? ['  --password-file FILE, whose first line is its password, shows its public part.']
          : rows([
              ['key', object.key],
              ['public key', `SHA-256 ${object.publicKeyFingerprint}`],
            ])),
      ]
    case 'crl':
      return [
        bold('A list of revoked certificates (CRL)'),
        ...rows([
          ['issued by', `${object.issuer}${ours(object.scope)}`],
          ['valid', span(object.thisUpdate, object.nextUpdate)],
          ['number', object.crlNumber ?? undefined],
          ['revoked', object.revoked.length === 0 ? 'none' : String(object.revoked.length)],
        ]),
        ...table(
          object.revoked.map(({ serialNumber, revocationDate, reason }) => [
            `  ${serialNumber}`,
            revocationDate.toISOString(),
            reason,
          ]),
        ),
      ]
    case 'ocsp':
      return [
        bold('An OCSP response'),
        ...rows([
          ['status', object.responseStatus],
          [
            'signed by',
            object.responder === null ? undefined : `${object.responder}${ours(object.scope)}`,
          ],
          ['produced', object.producedAt?.toISOString()],
        ]),
        ...table(
          object.statuses.map(({ serialNumber, status, reason, thisUpdate, nextUpdate }) => [
            `  ${serialNumber}`,
            reason === null ? status : `${status}: ${reason}`,
            span(thisUpdate, nextUpdate),
          ]),
        ),
      ]
  }
}

const rows = (pairs: readonly (readonly [string, string | undefined])[]): Line[] =>
  table(
    pairs.flatMap(([title, value]) =>
      value === undefined || value === '' ? [] : [[dim(`  ${title}`), value]],
    ),
  )

const ours = (scope: string | null): string => (scope === null ? '' : ` (our scope ${scope})`)

const span = (from: Date, to: Date | null): string =>
  `${from.toISOString()} to ${to === null ? 'an unknown time' : to.toISOString()}`
