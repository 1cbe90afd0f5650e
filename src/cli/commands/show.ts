import { resolve } from 'node:path'
import { showTargetOf, type ShowTarget } from '../../doctor/show.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { withPkcs12Password } from '../pkcs12-password.ts'
import { readFirstLine, readInputBytes } from '../read-input.ts'
import { printShown } from '../show-text.ts'
import type { showSpec } from '../specs/certificates.ts'

/** In octets; the bundles of public roots have a quarter of a megabyte. */
const largestFile = 16 * 1024 * 1024

/**
 * `rootling show FILE|SERIAL|HOST:PORT`: prints what a certificate says and what would refuse it, or
 * what a request, a key, a list, a response or a PKCS #12 file holds.
 */
export async function showCommand(
  args: ArgumentsOf<typeof showSpec>,
  context: Context,
): Promise<ExitCode> {
  const [word = ''] = args.positionals
  const meant = showTargetOf(word)
  const target = meant.from === 'file' ? await fileTarget(args, word, context) : meant
  await printShown(word, target, context)
  return exitCodes.ok
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
    contents: await readInputBytes(path, largestFile),
    withPassword: (open) => withPkcs12Password({ path, shown: word, passwordFile }, context, open),
    passphrase:
      passwordFile === undefined
        ? undefined
        : await readFirstLine(resolve(context.cwd, passwordFile)),
  }
}
