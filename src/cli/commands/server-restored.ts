import { resolve } from 'node:path'
import { RootlingError } from '../../errors.ts'
import { checkRestored, revokeForgotten } from '../../replica/restored.ts'
import { postgresStorage } from '../../storage/postgres/storage.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { readInputBytes } from '../../files/read-input.ts'
import type { serverRestoredSpec } from '../specs/team.ts'
import { withDatabase } from './server.ts'

/** No key is read or written by what this command does. */
const noKeys = {
  seal(): never {
    throw new TypeError('this command has no passphrase')
  },
  open(): never {
    throw new TypeError('this command has no passphrase')
  },
}

/** `rootling server restored`: exits 1 where revocations are forgotten and stay so. */
export async function serverRestored(
  args: ArgumentsOf<typeof serverRestoredSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output, cwd } = context
  if (args.crl === undefined)
    throw new RootlingError('usage', 'Name the CRL that was kept.', {
      hint: 'rootling server restored --crl team.crl',
    })
  const contents = await readInputBytes(resolve(cwd, args.crl))
  return withDatabase(args, context, async (database) => {
    const storage = postgresStorage(database, noKeys)
    const check = await checkRestored(storage, contents)
    const { scope, crlNumber, thisUpdate, forgotten } = check
    const revoked = args.revoke === true
    if (revoked) await revokeForgotten(database, storage, check)
    output.result(
      forgotten.map((one) => `${one.serialNumber}  ${one.reason}  ${one.revokedAt}`),
      { scope, crlNumber, thisUpdate: thisUpdate.toISOString(), forgotten, revoked },
    )
    const count = forgotten.length
    output.note(
      count === 0
        ? `The database knows all that the CRL ${crlNumber} of ${thisUpdate.toISOString()} lists.`
        : revoked
          ? `${count} revoked again.`
          : `${count} not known as revoked: run it again with --revoke.`,
    )
    return count === 0 || revoked ? exitCodes.ok : exitCodes.failed
  })
}
