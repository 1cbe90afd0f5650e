import { statusOf, type CertificateStatus } from '../../certificates/status.ts'
import { useOf } from '../../certificates/use.ts'
import {
  describeFailure,
  readFailures,
  type RenewalFailure,
} from '../../daemon/renewal-failures.ts'
import { readNewestFirst } from '../../storage/files/record.ts'
import { selfSignedScope, shortSerial, type CertificateRecord } from '../../storage/records.ts'
import { daysLeft } from '../../x509/profiles.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { useWord } from '../../certificates/describe-record.ts'
import { describeHolder, shortDate } from '../describe.ts'
import { bold, tableWithTitles, whole, type Line } from '../lines.ts'
import type { Output, Page } from '../output.ts'
import { listSpec } from '../specs/certificates.ts'
import { typedLine } from '../typed-line.ts'

/**
 * How many certificates are printed on a terminal, which nobody reads further. gh, too, limits its
 * lists; a pager would leave it open whether the end of the list was read.
 */
const mostOnTerminal = 1_000

/** How many rows, at least, stand below each other in columns of one width. */
const rowsOfPage = 1_000

/**
 * `rootling list`: prints the certificates that were issued, the newest first. They are read and
 * printed page by page, since there may be very many.
 */
export async function list(
  args: ArgumentsOf<typeof listSpec>,
  context: Context,
): Promise<ExitCode> {
  const { state, output, now } = context
  const at = now()
  const failures = await readFailures(state)
  const seen = { any: false, missing: false, more: false, count: 0 }
  const most = output.isTerminal && !output.json ? mostOnTerminal : Infinity

  function* pages(): Generator<Page> {
    const onDamage = (sentence: string): void => output.warn(sentence)
    let rows: Row[] = []
    for (const entries of readNewestFirst(state, { all: args.all === true, onDamage })) {
      seen.any = true
      for (const entry of entries) {
        const status = statusOf(entry, at)
        if (!isAskedFor(status, args)) continue
        if (seen.count + rows.length === most) {
          seen.more = true
          return yield pageOf(rows)
        }
        rows.push({ record: entry.certificate, members: entry.members, status })
      }
      if (rows.length === 0 || (!output.json && rows.length < rowsOfPage)) continue
      yield pageOf(rows)
      rows = []
    }
    if (rows.length > 0) yield pageOf(rows)
  }

  function pageOf(shown: readonly Row[]): Page {
    const isFirst = seen.count === 0
    seen.count += shown.length
    seen.missing ||= shown.some(({ status }) => status === 'missing')
    const failing = failuresOf(shown, failures)
    for (const failure of failing.values()) output.warn(describeFailure(failure))
    return {
      lines: () => {
        const cells = shown.map((row) => cellsOf(row, at, output))
        const { titles: head, rows } = tableWithTitles(titles.map(bold), cells, output.width)
        return isFirst ? [...head, ...rows] : rows
      },
      json: () => shown.map((row) => jsonOf(row, at, failureIn(failing, row.record))),
    }
  }

  output.pages('certificates', pages())
  if (seen.count === 0)
    output.note(
      seen.any
        ? 'No such certificates. All of them: rootling list --all'
        : 'No certificates. Issue one: rootling issue localhost',
    )
  if (seen.more)
    output.note(
      `These are the newest ${mostOnTerminal}. To read on: ${typedLine(listSpec, args)} | less`,
    )
  if (seen.missing) output.note('To drop those whose file is missing: rootling forget --all')
  return exitCodes.ok
}

interface Row {
  readonly record: CertificateRecord
  readonly members: string
  readonly status: CertificateStatus
}

const titles = ['NAMES', 'UNTIL', 'STANDING', 'FOR', 'KEY', 'SERIAL', 'FILE']

const cellsOf = ({ record, status }: Row, at: Date, output: Output): Line[] => [
  describeHolder(record),
  shortDate(record.notAfter),
  whole(
    status === 'current' ? `${daysLeft(new Date(record.notAfter), at)} days left` : words[status],
  ),
  purposeText(record),
  record.keyType,
  shortSerial(record),
  whole(record.certPath === null ? '(no file)' : output.path(record.certPath)),
]

/**
 * Returns the renewal failures of the shown certificates, by serial number. Those of replaced and
 * revoked certificates, which are no longer renewed, are left out.
 */
function failuresOf(
  shown: readonly Row[],
  failures: readonly RenewalFailure[],
): ReadonlyMap<string, RenewalFailure> {
  if (failures.length === 0) return new Map()
  const over = new Set<CertificateStatus>(['replaced', 'revoked'])
  const statuses = new Map(shown.map(({ record, status }) => [record.serialNumber, status]))
  const lasts = ({ serialNumber }: RenewalFailure): boolean =>
    !over.has(statuses.get(serialNumber) ?? 'replaced')
  return new Map(failures.filter(lasts).map((failure) => [failure.serialNumber, failure]))
}

function failureIn(
  failing: ReadonlyMap<string, RenewalFailure>,
  { serialNumber }: CertificateRecord,
): Record<string, unknown> | null {
  const failure = failing.get(serialNumber)
  if (failure === undefined) return null
  const { serialNumber: _serial, names: _names, ...rest } = failure
  return rest
}

/**
 * Returns what `describeRecord` returns, with what `list` adds, as JSON. The members of the record
 * are copied as the record has them, in a third of the time that printing them anew takes.
 */
function jsonOf({ record, members, status }: Row, at: Date, failure: object | null): string {
  const more = {
    use: useWord(record),
    names: record.identifiers.map(({ value }) => value),
    standing: status,
    daysLeft: daysLeft(new Date(record.notAfter), at),
    failure: failure ?? undefined,
  }
  return `{${members},${JSON.stringify(more).slice(1)}`
}

/** Says what a certificate is for, and which scope signed it, unless it is the usual one for that. */
function purposeText(record: CertificateRecord): string {
  const word = useWord(record)
  if (record.scope === selfSignedScope) return `${word}, self-signed`
  return record.scope === usualScopes[useOf(record)] ? word : `${word}, scope ${record.scope}`
}

/** The scope that usually signs for each use. */
const usualScopes = { servers: 'local', clients: 'clients', mail: 'mail' } as const

const words: Record<CertificateStatus, string> = {
  current: 'current',
  due: 'due for renewal',
  replaced: 'replaced',
  expired: 'expired',
  revoked: 'revoked',
  missing: 'file is missing',
  forgotten: 'forgotten',
}

function isAskedFor(status: CertificateStatus, args: ArgumentsOf<typeof listSpec>): boolean {
  if (args.all === true) return true
  if (args.due === true || args.expired === true)
    return (
      (args.due === true && status === 'due') || (args.expired === true && status === 'expired')
    )
  return status !== 'replaced' && status !== 'expired' && status !== 'forgotten'
}
