import { selfSignedScope } from '../../leaf.ts'
import { standings, type Standing } from '../../standing.ts'
import { readCurrentInventory, readInventory } from '../../storage/certificate-store.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { daysLeft, describeIdentifiers, describeRecord, shortDate } from '../describe.ts'
import { table } from '../output.ts'
import type { listSpec } from '../table.ts'

/** `rootling list`: what was issued, the newest first. */
export async function list(
  args: ArgumentsOf<typeof listSpec>,
  { state, output, now }: Context,
): Promise<ExitCode> {
  const at = now()
  const read = args.all === true ? readInventory : readCurrentInventory
  const rows = await standings(await read(state), at)
  const shown = rows.filter(({ standing }) => isAskedFor(standing, args))
  const json = () => ({
    certificates: shown.map(({ record, standing }) => ({
      ...describeRecord(record),
      standing,
      daysLeft: daysLeft(new Date(record.notAfter), at),
    })),
  })
  if (shown.length === 0) {
    output.result('', json)
    output.note(
      rows.length === 0
        ? 'No certificates. Issue one: rootling issue localhost'
        : 'No such certificates. All of them: rootling list --all',
    )
    return exitCodes.ok
  }
  const lines = shown.map(({ record, standing }) => [
    describeIdentifiers(record.identifiers),
    shortDate(record.notAfter),
    standing === 'current'
      ? `${daysLeft(new Date(record.notAfter), at)} days left`
      : words[standing],
    record.scope === selfSignedScope ? `${record.purpose}, self-signed` : record.purpose,
    record.keyType,
    record.certPath ?? '(printed)',
  ])
  const titles = ['NAMES', 'UNTIL', 'STANDING', 'FOR', 'KEY', 'FILE']
  const header = titles.map((title) => output.style.bold(title))
  output.result(table([header, ...lines]), json)
  return exitCodes.ok
}

const words: Record<Standing, string> = {
  current: 'current',
  due: 'due for renewal',
  replaced: 'replaced',
  expired: 'expired',
  revoked: 'revoked',
  missing: 'file is missing',
}

function isAskedFor(standing: Standing, args: ArgumentsOf<typeof listSpec>): boolean {
  if (args.all === true) return true
  if (args.due === true || args.expired === true)
    return (
      (args.due === true && standing === 'due') || (args.expired === true && standing === 'expired')
    )
  return standing !== 'replaced' && standing !== 'expired'
}
