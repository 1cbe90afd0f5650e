import { resolve } from 'node:path'
import { RootlingError } from '../../errors.ts'
import { readPassphrase } from '../../replica/key-source.ts'
import { newWrappedPassphrase } from '../../replica/wrapped-passphrase.ts'
import { migrate } from '../../storage/postgres/migrate.ts'
import { reseal } from '../../storage/postgres/reseal.ts'
import { sealWith } from '../../storage/postgres/seal.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { serverRekeySpec } from '../specs/team.ts'
import { openKeys } from '../server-keys.ts'
import { withDatabase } from './server.ts'

type Arguments = ArgumentsOf<typeof serverRekeySpec>

/** `rootling server rekey`: seals a team's keys with another passphrase, or by another module's key. */
export async function serverRekey(args: Arguments, context: Context): Promise<ExitCode> {
  return withDatabase(args, context, async (database) => {
    await migrate(database)
    const from = await openKeys(args, context, database)
    const { passphrase, wrapped } = await nextPassphrase(args, context)
    const secrets = await reseal(database, { from, to: sealWith(passphrase), wrapped })
    context.output.result(
      [secrets === 0 ? 'The keys were sealed so already.' : `${secrets} secrets were sealed anew.`],
      { changed: secrets > 0, secrets },
    )
    if (secrets === 0) return exitCodes.ok
    context.output.note(
      'Servers that run notice, and end: start them with the new key. Dumps from before are still opened by the old one.',
    )
    return exitCodes.ok
  })
}

async function nextPassphrase(
  args: Arguments,
  { cwd, env }: Context,
): Promise<{ readonly passphrase: string; readonly wrapped: Buffer | null }> {
  const { 'new-passphrase-file': file, 'new-key-command': command, 'new-key-pkcs11': uri } = args
  if (uri !== undefined) return newWrappedPassphrase({ uri, env })
  if (file === undefined && command === undefined)
    throw new RootlingError('usage', 'Say what is to open the keys from now on.', {
      hint: '--new-passphrase-file FILE, --new-key-command PROGRAM, or --new-key-pkcs11 URI',
    })
  const path = (word: string | undefined) => (word === undefined ? undefined : resolve(cwd, word))
  const source = { passphraseFile: path(file), keyCommand: path(command) }
  return { passphrase: await readPassphrase(source, env), wrapped: null }
}
