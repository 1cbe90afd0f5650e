import { resolve } from 'node:path'
import { isListed } from '../../certificates/crl.ts'
import { chosen, fileMatcher, readNamed, serialNumberIn } from '../../certificates/named.ts'
import { release, revoke, type Revoked } from '../../certificates/revoke.ts'
import { RootlingError } from '../../errors.ts'
import { existsSync } from '../../files/exists.ts'
import { fileStorage } from '../../storage/files/storage.ts'
import type { CertificateRecord } from '../../storage/records.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { describeRecord } from '../../certificates/describe-record.ts'
import { describeHolder, timeText } from '../describe.ts'
import { readInputBytes } from '../../files/read-input.ts'
import { noteKept } from '../renewals.ts'
import type { revokeSpec } from '../specs/certificates.ts'

/** `rootling revoke NAME|FILE|SERIAL`: revokes certificates, or with --release ends their hold. */
export async function revokeCommand(
  args: ArgumentsOf<typeof revokeSpec>,
  context: Context,
): Promise<ExitCode> {
  const { state, output, now } = context
  const [word = ''] = args.positionals
  if (args.release === true && args.reason !== undefined)
    throw new RootlingError('usage', '--release takes no --reason: it ends a certificateHold.', {
      hint: `rootling revoke ${word} --release`,
    })
  const storage = fileStorage(state)
  const revoked: Revoked[] = []
  for (const target of await targetsOf(word, args, context))
    revoked.push(
      args.release === true
        ? await release(storage, { target, now: now() })
        : await revoke(storage, { target, reason: args.reason, now: now() }),
    )
  const described = revoked.map(({ record, revocation, changed }) => ({
    certificate: describeRecord(record),
    revocation,
    changed,
  }))
  output.result(
    revoked.map(describe).flatMap((sentence) => output.prose(sentence)),
    args.all === true ? { revoked: described } : { ...described[0] },
  )
  noteKept(
    revoked.map(({ record }) => record),
    context,
  )
  const changed = revoked.filter((each) => each.changed).map(({ record }) => record)
  const lists = new Set(changed.filter((record) => isListed(record, now())).map(crlOf))
  for (const list of lists)
    output.note(`A client learns of it from a new list (${list}) or a responder (rootling ocsp).`)
  if (changed.length > 0 && lists.size === 0)
    output.note('It ended too long ago for a list; a responder still says it (rootling ocsp).')
  return exitCodes.ok
}

/**
 * Returns the serial numbers that a word names, or the contents of the file that it names. What a
 * certificate file holds now counts, and not what was written to it last.
 */
async function targetsOf(
  word: string,
  { all, release: releasing = false }: ArgumentsOf<typeof revokeSpec>,
  { state, cwd }: Context,
): Promise<readonly (string | Buffer)[]> {
  const found = await readNamed(state, word, cwd)
  const path = resolve(cwd, word)
  if (found.every(fileMatcher(word, cwd)) && existsSync(path)) return [await readInputBytes(path)]
  const serialNumber = serialNumberIn(word)
  if (found.length === 0 && serialNumber !== null) return [serialNumber]
  const command = releasing ? 'rootling revoke --release' : 'rootling revoke'
  return chosen(state, found, { word, all, command }).map(({ serialNumber }) => serialNumber)
}

const crlOf = ({ scope }: CertificateRecord): string =>
  scope === 'local' ? 'rootling crl' : `rootling crl --scope ${scope}`

function describe({ record, revocation, changed }: Revoked): string {
  const which = `${describeHolder(record)} (${record.serialNumber})`
  if (revocation === null)
    return changed ? `Released ${which}.` : `${which} is not revoked; nothing to release.`
  if (changed) return `Revoked ${which}: ${revocation.reason}.`
  return `${which} was revoked already, on ${timeText(new Date(revocation.revokedAt))}: ${revocation.reason}.`
}
