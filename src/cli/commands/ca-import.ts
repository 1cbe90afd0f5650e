import { join, resolve } from 'node:path'
import { adoptRoot, isEncrypted, readRootFiles } from '../../authority/adopt.ts'
import { RootlingError } from '../../errors.ts'
import { exists } from '../../files/exists.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { commonName, describeScope } from '../../authority/describe-scope.ts'
import { describeConstraints } from '../describe.ts'
import { readFirstLine } from '../read-input.ts'
import type { caImportSpec } from '../specs/ca.ts'

/** `rootling ca import`: adopts an existing root, which stays trusted and signs directly. */
export async function caImport(
  args: ArgumentsOf<typeof caImportSpec>,
  context: Context,
): Promise<ExitCode> {
  const { state, output, now, cwd } = context
  const { certificateFile, keyFile } = await findFiles(args, context)
  const files = await readRootFiles(state, certificateFile, keyFile)
  const passphrase = isEncrypted(files.key) ? await readPassphrase(args, cwd, context) : undefined
  const { scope, created } = await adoptRoot(
    state,
    { ...files, passphrase, name: args.name },
    now(),
  )
  output.note(
    created
      ? `Adopted ${commonName(scope)} as the scope ${scope.name}, which may sign ${describeConstraints(scope)}.`
      : `${commonName(scope)} is the scope ${scope.name} already.`,
  )
  if (scope.constraints === null)
    output.warn(
      `This root may sign any name: anyone who steals its key can impersonate any site to those who trust it. To move to a constrained one without a gap: rootling ca rotate ${scope.name}`,
    )
  output.result([], { created, scope: describeScope(scope) })
  return exitCodes.ok
}

async function findFiles(
  { 'cert-file': cert, 'key-file': key }: ArgumentsOf<typeof caImportSpec>,
  { env, cwd }: Context,
): Promise<{ certificateFile: string; keyFile: string }> {
  if (cert !== undefined && key !== undefined)
    return { certificateFile: resolve(cwd, cert), keyFile: resolve(cwd, key) }
  if (cert !== undefined || key !== undefined)
    throw new RootlingError('usage', '--cert-file and --key-file go together.', {
      hint: 'rootling ca import --cert-file rootCA.pem --key-file rootCA-key.pem',
    })
  for (const directory of mkcertDirectories(env)) {
    const certificateFile = join(directory, 'rootCA.pem')
    const keyFile = join(directory, 'rootCA-key.pem')
    if ((await exists(certificateFile)) && (await exists(keyFile)))
      return { certificateFile, keyFile }
  }
  throw new RootlingError('file-unreadable', 'No CA of mkcert was found, and none was named.', {
    hint: 'rootling ca import --cert-file rootCA.pem --key-file rootCA-key.pem',
  })
}

/**
 * Returns the directories in which mkcert may keep its CA: $CAROOT, then those of each platform.
 */
function mkcertDirectories(env: Context['env']): string[] {
  const home = env['HOME'] ?? ''
  const directories = [
    env['CAROOT'],
    env['XDG_DATA_HOME'] && join(env['XDG_DATA_HOME'], 'mkcert'),
    home && join(home, '.local/share/mkcert'),
    home && join(home, 'Library/Application Support/mkcert'),
    env['LOCALAPPDATA'] && join(env['LOCALAPPDATA'], 'mkcert'),
  ]
  return directories.filter((directory): directory is string => (directory ?? '') !== '')
}

async function readPassphrase(
  args: ArgumentsOf<typeof caImportSpec>,
  cwd: string,
  { interactive }: Context,
): Promise<string> {
  const file = args['password-file']
  if (file !== undefined) return readFirstLine(file, cwd)
  if (interactive) return (await import('../ask.ts')).askSecret('Passphrase of the key: ')
  throw new RootlingError(
    'usage',
    'The key is encrypted, and nobody can be asked for its passphrase.',
    {
      hint: '--password-file FILE',
    },
  )
}
