import { resolve } from 'node:path'
import { certificatesNamed, chosen } from '../../certificates/named.ts'
import { showTargetOf, type ShowTarget } from '../../doctor/show.ts'
import { existsSync } from '../../files/exists.ts'
import { readInventory } from '../../storage/files/record.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { readInputBytes } from '../read-input.ts'
import { printShown } from '../show-text.ts'
import type { showSpec } from '../specs/certificates.ts'

/**
 * `rootling show NAME|FILE|SERIAL|HOST:PORT`: prints what a certificate says, and what would refuse it.
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
  { all }: ArgumentsOf<typeof showSpec>,
  { state, cwd }: Context,
): Promise<readonly ShowTarget[]> {
  const meant = showTargetOf(word)
  if (meant.from === 'server') return [meant]
  const path = resolve(cwd, word)
  const file = async (): Promise<ShowTarget> => ({
    from: 'file',
    name: word,
    contents: await readInputBytes(path),
  })
  const isFile = meant.from === 'file' && existsSync(path)
  const found = isFile ? [] : certificatesNamed(await readInventory(state), word, cwd)
  if (found.length === 0) return [meant.from === 'file' ? await file() : meant]
  return chosen(found, { word, all, command: 'rootling show' }).map(({ serialNumber }) => ({
    from: 'record',
    serialNumber,
  }))
}
