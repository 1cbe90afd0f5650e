import { resolve } from 'node:path'
import { chosen, readNamed } from '../../certificates/named.ts'
import { showTargetOf, type ShowTarget } from '../../doctor/show.ts'
import { existsSync } from '../../files/exists.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { withPkcs12Password } from '../pkcs12-password.ts'
import { readFirstLine } from '../read-input.ts'
import { readInputBytes } from '../../files/read-input.ts'
import { noteKept } from '../renewals.ts'
import { printShown } from '../show-text.ts'
import type { showSpec } from '../specs/certificates.ts'

/** In octets; the bundles of public roots have a quarter of a megabyte. */
const largestFile = 16 * 1024 * 1024

/**
 * `rootling show NAME|FILE|SERIAL|HOST:PORT`: prints what a certificate says and what would refuse it,
 * or what a request, a key, a list, a response or a PKCS #12 file holds.
 */
export async function showCommand(
  args: ArgumentsOf<typeof showSpec>,
  context: Context,
): Promise<ExitCode> {
  const [word = ''] = args.positionals
  const targets = await targetsOf(word, args, context)
  await printShown(word, targets, context, args.all === true)
  return exitCodes.ok
}

/** Returns a server, the contents of a file, or else the certificates on record of that name. */
async function targetsOf(
  word: string,
  args: ArgumentsOf<typeof showSpec>,
  context: Context,
): Promise<readonly ShowTarget[]> {
  const { state, cwd } = context
  const meant = showTargetOf(word)
  if (meant.from === 'server') return [meant]
  const isFile = meant.from === 'file' && existsSync(resolve(cwd, word))
  const found = isFile ? [] : await readNamed(state, word, cwd)
  if (found.length === 0)
    return [meant.from === 'file' ? await fileTarget(args, word, context) : meant]
  const named = chosen(state, found, { word, all: args.all, command: 'rootling show' })
  noteKept(named, context)
  return named.map(({ serialNumber }) => ({ from: 'record', serialNumber }))
}

async function fileTarget(
  args: ArgumentsOf<typeof showSpec>,
  word: string,
  context: Context,
): Promise<ShowTarget> {
  const path = resolve(context.cwd, word)
  const passwordFile = args['password-file']
  return {
    from: 'file',
    name: word,
    contents: await readInputBytes(path, { most: largestFile, notNamed: 'certificate' }),
    withPassword: (open) => withPkcs12Password({ path, shown: word, passwordFile }, context, open),
    passphrase:
      passwordFile === undefined ? undefined : await readFirstLine(passwordFile, context.cwd),
  }
}
