import { readRecord, type CertificateRecord } from '../../storage/certificate-store.ts'
import { exists } from '../../storage/files.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { describeIdentifiers, describeRecord, shortDate } from '../describe.ts'
import { table } from '../output.ts'
import type { listSpec } from '../table.ts'

const day = 86_400_000

type Standing = 'current' | 'replaced' | 'expired' | 'missing'

/** `rootling list`: what was issued, the newest first. */
export async function list(
  args: ArgumentsOf<typeof listSpec>,
  { state, output, now }: Context,
): Promise<ExitCode> {
  const at = now()
  const rows = await standings(await readRecord(state), at)
  const shown = args.all === true ? rows : rows.filter(({ standing }) => isOfUse(standing))
  const certificates = shown.map(({ record, standing }) => ({
    ...describeRecord(record),
    standing,
    daysLeft: daysLeft(record, at),
  }))
  if (shown.length === 0) {
    output.result('', { certificates })
    output.note('No certificates. Issue one: rootling issue localhost')
    return exitCodes.ok
  }
  const lines = shown.map(({ record, standing }) => [
    describeIdentifiers(record.identifiers),
    shortDate(record.notAfter),
    standing === 'current' ? `${daysLeft(record, at)} days left` : standing,
    record.keyType,
    record.certPath ?? '(printed)',
  ])
  const header = ['NAMES', 'UNTIL', 'STANDING', 'KEY', 'FILE'].map((title) =>
    output.style.bold(title),
  )
  output.result(table([header, ...lines]), { certificates })
  return exitCodes.ok
}

const isOfUse = (standing: Standing): boolean => standing === 'current' || standing === 'missing'

/** Derived, never stored: a later certificate at the same path replaces an earlier one. */
async function standings(
  record: readonly CertificateRecord[],
  now: Date,
): Promise<{ record: CertificateRecord; standing: Standing }[]> {
  const taken = new Set<string>()
  const rows: { record: CertificateRecord; standing: Standing }[] = []
  for (const entry of record.toReversed()) {
    const replaced = entry.certPath !== null && taken.has(entry.certPath)
    if (entry.certPath !== null) taken.add(entry.certPath)
    rows.push({ record: entry, standing: await standingOf(entry, replaced, now) })
  }
  return rows
}

async function standingOf(
  { certPath, notAfter }: CertificateRecord,
  replaced: boolean,
  now: Date,
): Promise<Standing> {
  if (replaced) return 'replaced'
  if (new Date(notAfter) <= now) return 'expired'
  return certPath === null || (await exists(certPath)) ? 'current' : 'missing'
}

function daysLeft({ notAfter }: CertificateRecord, now: Date): number {
  return Math.floor((Date.parse(notAfter) - now.getTime()) / day)
}
