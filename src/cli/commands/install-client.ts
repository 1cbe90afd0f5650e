import { resolve } from 'node:path'
import { clientFileOf } from '../../certificates/client-file.ts'
import { exists } from '../../files/exists.ts'
import { changeClientCertificate } from '../../trust/client-certificates.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { withPkcs12Password } from '../pkcs12-password.ts'
import { readInputBytes } from '../../files/read-input.ts'
import type { installClientSpec } from '../specs/stores.ts'
import { changeExitCode, outcomeTable, printPlan } from '../store-outcomes.ts'

/**
 * `rootling install-client FILE.p12|USER`: gives a client certificate to browsers, or removes it. For
 * a user, the file is the one that was issued here.
 */
export async function installClient(
  args: ArgumentsOf<typeof installClientSpec>,
  context: Context,
): Promise<ExitCode> {
  const { env, output, cwd, interactive, state } = context
  const [word = ''] = args.positionals
  const typed = resolve(cwd, word)
  const issued = (await exists(typed)) ? null : await clientFileOf(state, word)
  const file = issued ?? typed
  const shown = issued ?? word
  const change = await changeClientCertificate(
    { env, interactive },
    { dryRun: args['dry-run'] },
    {
      action: args.remove === true ? 'remove' : 'install',
      file,
      shown,
      contents: await readInputBytes(file, {
        notNamed: issued === null ? 'client certificate' : null,
      }),
      withPassword: (open) =>
        withPkcs12Password(
          { path: file, shown, passwordFile: args['password-file'] },
          context,
          open,
        ),
      nickname: args.name,
    },
  )
  if (printPlan(change, output)) return exitCodes.ok
  const { fingerprint, outcomes } = change
  output.result(outcomeTable(outcomes, output), { fingerprint, stores: outcomes })
  if (outcomes.some(({ outcome }) => outcome === 'installed'))
    output.note('A browser that is open sees it after a restart.')
  return changeExitCode(outcomes)
}
