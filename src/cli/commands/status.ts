import { noAuthority, type Scope } from '../../authority/scope.ts'
import { findOutdated, type Outdated } from '../../certificates/outdated.ts'
import { renewable } from '../../certificates/renew.ts'
import { servedRevocationUrl, unansweredUrl } from '../../certificates/revocation-url.ts'
import { RootlingError } from '../../errors.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { readCurrentInventory, refuseWritableRecord } from '../../storage/files/record.ts'
import type { CertificateRecord } from '../../storage/records.ts'
import { readTrustStatus } from '../../trust/status.ts'
import { describeStale } from '../../trust/stale-roots.ts'
import { staleRootsOf, trustOfOthers } from '../../trust/trusted-roots.ts'
import type { StoreOutcome } from '../../trust/stores.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { describeScope } from '../../authority/describe-scope.ts'
import { describeConstraints, rootText, scopeText, untilText } from '../describe.ts'
import { noteKinds, noteStale } from '../installation.ts'
import type { Output } from '../output.ts'
import type { statusSpec } from '../specs/stores.ts'
import { storeOptionsOf } from '../store-arguments.ts'
import { outcomeTable } from '../store-outcomes.ts'
import { trustWorld } from '../trust-world.ts'

/**
 * `rootling status`: asks every store whether it trusts the roots. Exits 4 when a store on this
 * machine failed or lacks a root, when no store trusts any, or when a root has expired.
 */
export async function status(
  args: ArgumentsOf<typeof statusSpec>,
  context: Context,
): Promise<ExitCode> {
  const { state, output } = context
  // One world, so that no password of a keystore is asked for twice.
  const world = trustWorld({}, context)
  const stale = await staleRootsOf(world, storeOptionsOf(args))
  const found = await readTrustStatus(world, storeOptionsOf(args))
  const { scopes, kinds, outcomes, isInstalled, isExpired } = found
  if (scopes.length === 0) {
    noteStale(stale, output)
    throw noAuthority()
  }
  const described = scopes.map(describeScope)
  for (const scope of scopes)
    output.note(
      `${scopeText(scope)} may sign ${describeConstraints(scope)}, until ${untilText(scope.rootNotAfter, context.now())}.`,
    )
  warnOfWritableRecord(state, output)
  const onDamage = (sentence: string): void => output.warn(sentence)
  const inUse = renewable(await readCurrentInventory(state, { printed: false, onDamage }))
  const revocation = await revocationOf(state, inUse)
  noteRevocation(revocation, output)
  const trusted = await trustOfOthers(world, storeOptionsOf(args))
  for (const { label, source, fingerprint, trustedBy } of trusted)
    output.note(
      `${rootText(label, fingerprint)} of another authority, from ${output.paths(source)}: ${trustedBy.length === 0 ? 'trusted by no store' : `trusted by ${trustedBy.join(', ')}`}.`,
    )
  noteStale(stale, output)
  const outdated = findOutdated(scopes, inUse)
  for (const scope of outdated.scopes) output.warn(outdatedSentence(scope, outdated))
  output.result(outcomeTable(outcomes, output, scopes), {
    home: state.path,
    scopes: described,
    stores: outcomes,
    kinds: kinds ?? null,
    trusted,
    stale: stale.map(describeStale),
    revocation,
    outdated: {
      scopes: outdated.scopes.map(({ name }) => name),
      certificates: outdated.certificates.map(({ serialNumber }) => serialNumber),
    },
  })
  if (args.stores === undefined) noteKinds(kinds, output)
  // A store that install cannot change says itself what can be done.
  const bad = outcomes.filter(({ outcome }) => outcome === 'failed' || outcome === 'not-trusted')
  const isMendable = ({ hint, tool }: StoreOutcome): boolean =>
    hint === undefined || tool !== undefined
  if (!isInstalled && (bad.length === 0 || bad.some(isMendable)))
    output.note('To fix it: rootling install')
  // openStores has said already that a root has expired, and how to replace it.
  return isInstalled && !isExpired ? exitCodes.ok : exitCodes.notTrusted
}

interface RevocationStatus {
  /** The URL at which the daemon answers OCSP and CRL requests; `null`: it answers none. */
  readonly url: string | null
  /**
   * Serial numbers of the certificates in use that name a URL of the daemon at which it does not
   * answer.
   */
  readonly unanswered: readonly string[]
}

function outdatedSentence({ name }: Scope, { certificates }: Outdated): string {
  const signed = certificates.filter(({ scope }) => scope === name)
  const files = signed.map(({ certPath }) => certPath).join(', ')
  return `The scope ${name} is of an older version: a thief of its key could also be any client or sign mail.${files === '' ? '' : ` It signed ${files}.`} To replace it without a gap: rootling ca rotate ${name}`
}

function warnOfWritableRecord(state: StateDirectory, output: Output): void {
  try {
    refuseWritableRecord(state)
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    output.warn(`${error.message} Nothing is renewed until this is mended: ${error.hint}`)
  }
}

async function revocationOf(
  state: StateDirectory,
  inUse: readonly CertificateRecord[],
): Promise<RevocationStatus> {
  const url = await servedRevocationUrl(state)
  const unanswered = inUse.filter((record) => unansweredUrl(record, url) !== null)
  return { url, unanswered: unanswered.map(({ serialNumber }) => serialNumber) }
}

function noteRevocation({ url, unanswered }: RevocationStatus, output: Output): void {
  if (url !== null) output.note(`Certificates issued now name the daemon's OCSP and CRL at ${url}.`)
  const count = unanswered.length
  if (count === 0) return
  const [what, verb] = count === 1 ? ['certificate', 'names'] : ['certificates', 'name']
  output.note(
    `${count} ${what} ${verb} the daemon for OCSP and CRL where it does not answer, and Windows' schannel (curl, git) refuses that: rootling daemon start, or rootling renew ${count > 3 ? '--all' : unanswered.join(' ')}`,
  )
}
