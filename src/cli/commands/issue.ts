import { resolve } from 'node:path'
import { issue } from '../../issue.ts'
import { RootlingError } from '../../errors.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { describeIdentifiers, describeRecord, shortDate } from '../describe.ts'
import type { issueSpec } from '../table.ts'

/** `rootling issue NAME…`, also `rootling NAME…`. */
export async function issueCommand(
  args: ArgumentsOf<typeof issueSpec>,
  { cwd, state, output, now }: Context,
): Promise<ExitCode> {
  const paths = {
    outDir: resolve(cwd, args['out-dir'] ?? '.'),
    certPath: optionalPath(cwd, args['cert-file']),
    keyPath: optionalPath(cwd, args['key-file']),
  }
  if (
    args.stdout === true &&
    (args['cert-file'] ?? args['key-file'] ?? args['out-dir']) !== undefined
  )
    throw new RootlingError('usage', '--stdout writes no files, so it takes no file names.', {
      hint: 'Leave out --stdout, or --cert-file, --key-file and --out-dir',
    })
  const issued = await issue(
    state,
    {
      names: args.positionals,
      keyType: args['key-type'],
      days: args.days,
      files: args.stdout === true ? null : paths,
      force: args.force,
    },
    now(),
  )
  for (const warning of issued.warnings) output.warn(warning)
  const { record } = issued
  if (args.stdout === true) {
    const certificate = { ...describeRecord(record), cert: issued.chain, key: issued.key }
    output.result((issued.chain + issued.key).trimEnd(), { certificate })
    return exitCodes.ok
  }
  const files =
    record.certPath === record.keyPath
      ? `Certificate and key: ${record.certPath}`
      : `Certificate: ${record.certPath}\nKey:         ${record.keyPath}`
  output.note(
    `Issued for ${describeIdentifiers(record.identifiers)}, good until ${shortDate(record.notAfter)}.`,
  )
  output.result(files, { certificate: describeRecord(record) })
  return exitCodes.ok
}

function optionalPath(cwd: string, path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolve(cwd, path)
}
