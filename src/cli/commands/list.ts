import { certificateStatuses, type CertificateStatus } from '../../certificates/status.ts'
import { useOf } from '../../certificates/use.ts'
import {
  describeFailure,
  readFailures,
  type RenewalFailure,
} from '../../daemon/renewal-failures.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { readCurrentInventory, readInventory } from '../../storage/files/record.ts'
import { selfSignedScope, shortSerial, type CertificateRecord } from '../../storage/records.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { daysLeft, describeHolder, describeRecord, shortDate, useWord } from '../describe.ts'
import { bold, table, whole } from '../lines.ts'
import type { listSpec } from '../specs/certificates.ts'

/** `rootling list`: prints the certificates that were issued, the newest first. */
export async function list(
  args: ArgumentsOf<typeof listSpec>,
  { state, output, now }: Context,
): Promise<ExitCode> {
  const at = now()
  const read = args.all === true ? readInventory : readCurrentInventory
  const rows = certificateStatuses(
    await read(state, { onDamage: (sentence) => output.warn(sentence) }),
    at,
  )
  const shown = rows.filter(({ status }) => isAskedFor(status, args))
  const failing = await failuresOf(shown, state)
  const json = () => ({
    certificates: shown.map(({ record, status }) => ({
      ...describeRecord(record),
      standing: status,
      daysLeft: daysLeft(new Date(record.notAfter), at),
      ...failureIn(failing, record),
    })),
  })
  for (const failure of failing.values()) output.warn(describeFailure(failure))
  if (shown.length === 0) {
    output.result([], json)
    output.note(
      rows.length === 0
        ? 'No certificates. Issue one: rootling issue localhost'
        : 'No such certificates. All of them: rootling list --all',
    )
    return exitCodes.ok
  }
  const lines = shown.map(({ record, status }) => [
    describeHolder(record),
    shortDate(record.notAfter),
    whole(
      status === 'current' ? `${daysLeft(new Date(record.notAfter), at)} days left` : words[status],
    ),
    purposeText(record),
    record.keyType,
    shortSerial(record),
    whole(record.certPath === null ? '(printed)' : output.path(record.certPath)),
  ])
  const titles = ['NAMES', 'UNTIL', 'STANDING', 'FOR', 'KEY', 'SERIAL', 'FILE']
  const header = titles.map(bold)
  output.result(table([header, ...lines], output.width), json)
  if (shown.some(({ status }) => status === 'missing'))
    output.note('To drop those whose file is missing: rootling forget --all')
  return exitCodes.ok
}

/**
 * Returns the renewal failures of the shown certificates, by serial number. Those of replaced and
 * revoked certificates, which are no longer renewed, are left out.
 */
async function failuresOf(
  shown: ReturnType<typeof certificateStatuses>,
  state: StateDirectory,
): Promise<ReadonlyMap<string, RenewalFailure>> {
  const failures = await readFailures(state)
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
): { readonly failure?: Record<string, unknown> } {
  const failure = failing.get(serialNumber)
  if (failure === undefined) return {}
  const { serialNumber: _serial, names: _names, ...rest } = failure
  return { failure: rest }
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
