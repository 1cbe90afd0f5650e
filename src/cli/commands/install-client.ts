import { resolve } from 'node:path'
import { RootlingError } from '../../errors.ts'
import { changeClientCertificate } from '../../trust/client-certificates.ts'
import { askSecret } from '../ask.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { readFirstLine, readInputBytes } from '../read-input.ts'
import type { installClientSpec } from '../specs/stores.ts'
import { changeExitCode, outcomeTable, printPlan } from '../store-outcomes.ts'

type Arguments = ArgumentsOf<typeof installClientSpec>

/** `rootling install-client FILE.p12`: gives a client certificate to browsers, or removes it. */
export async function installClient(args: Arguments, context: Context): Promise<ExitCode> {
  const { env, output, cwd, interactive } = context
  const [word = ''] = args.positionals
  const file = resolve(cwd, word)
  const change = await changeClientCertificate(
    { env, interactive },
    { dryRun: args['dry-run'] },
    {
      action: args.remove === true ? 'remove' : 'install',
      file,
      shown: word,
      contents: await readInputBytes(file),
      readPassword: () => readPassword(args, word, context),
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

async function readPassword(
  args: Arguments,
  word: string,
  { cwd, interactive }: Context,
): Promise<string> {
  if (args['password-file'] !== undefined) return readFirstLine(resolve(cwd, args['password-file']))
  if (interactive) return askSecret(`Password of ${word}: `)
  throw new RootlingError('usage', `${word} needs its password, and nobody can be asked.`, {
    hint: '--password-file FILE',
  })
}
