import { resolve } from 'node:path'
import { release, revoke, serialNumberIn, type Revoked } from '../../certificates/revoke.ts'
import { RootlingError } from '../../errors.ts'
import type { CertificateRecord } from '../../storage/records.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { describeHolder, describeRecord } from '../describe.ts'
import { readInputBytes } from '../read-input.ts'
import type { revokeSpec } from '../specs/certificates.ts'

/** `rootling revoke SERIAL|FILE`: revokes a certificate, or with --release ends its hold. */
export async function revokeCommand(
  args: ArgumentsOf<typeof revokeSpec>,
  { state, cwd, output, now }: Context,
): Promise<ExitCode> {
  const [word = ''] = args.positionals
  if (args.release === true && args.reason !== undefined)
    throw new RootlingError('usage', '--release takes no --reason: it ends a certificateHold.', {
      hint: `rootling revoke ${word} --release`,
    })
  const target = serialNumberIn(word) ?? (await readInputBytes(resolve(cwd, word)))
  const revoked =
    args.release === true
      ? await release(state, { target, now: now() })
      : await revoke(state, { target, reason: args.reason, now: now() })
  const { record, revocation, changed } = revoked
  output.result([describe(revoked)], { certificate: describeRecord(record), revocation, changed })
  if (changed)
    output.note(
      `A client learns of it from a new list (${crlOf(record)}) or a responder (rootling ocsp).`,
    )
  return exitCodes.ok
}

const crlOf = ({ scope }: CertificateRecord): string =>
  scope === 'local' ? 'rootling crl' : `rootling crl --scope ${scope}`

function describe({ record, revocation, changed }: Revoked): string {
  const which = `${describeHolder(record)} (${record.serialNumber})`
  if (revocation === null)
    return changed ? `Released ${which}.` : `${which} is not revoked; nothing to release.`
  if (changed) return `Revoked ${which}: ${revocation.reason}.`
  return `${which} was revoked already, on ${revocation.revokedAt}: ${revocation.reason}.`
}
