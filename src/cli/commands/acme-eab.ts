import { askDaemon } from '../../daemon/control-client.ts'
import { RootlingError } from '../../errors.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { acmeEabSpec } from '../specs/servers.ts'

/** `rootling acme eab create`: prints a key with which one ACME client can register. */
export async function acmeEab(
  args: ArgumentsOf<typeof acmeEabSpec>,
  { state, output }: Context,
): Promise<ExitCode> {
  if (args.positionals.join(' ') !== 'create')
    throw new RootlingError('usage', 'rootling acme eab takes one word: create.', {
      hint: 'rootling acme eab create',
    })
  const key = await askDaemon<{ kid: string; hmacKey: string }>(state, 'create-eab-key')
  if (key === null)
    throw new RootlingError('connect-failed', 'The daemon is not running.', {
      hint: 'rootling daemon start',
    })
  output.result([`kid       ${key.kid}`, `hmac key  ${key.hmacKey}`], { ...key })
  return exitCodes.ok
}
