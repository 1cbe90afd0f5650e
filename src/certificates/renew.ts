import { resolve } from 'node:path'
import { readScopes, type Scope } from '../authority/scope.ts'
import { openSigner } from '../authority/signer.ts'
import { RootlingError } from '../errors.ts'
import { askForUser } from '../files/access-list.ts'
import { exists } from '../files/exists.ts'
import { stampOf } from '../files/stamp.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { compactWhereWorthwhile } from '../storage/files/compact.ts'
import { keysOf } from '../storage/files/keys.ts'
import { exclusively, recordAndWrite } from '../storage/files/unfinished-writes.ts'
import {
  readCurrentInventory,
  readInventoryOf,
  recordPath,
  refuseWritableRecord,
} from '../storage/files/record.ts'
import { issueAgain, issueInFiles } from '../storage/issue-again.ts'
import { selfSignedScope, type CertificateRecord, type Inventory } from '../storage/records.ts'
import { parseIdentifier } from '../x509/identifier.ts'
import { day, maximumDays, parseValidity } from '../x509/profiles.ts'
import { signLeaf, type Leaf } from './leaf.ts'
import { refuseMoved } from './moved.ts'
import { certificatesNamed, chosen, refusePrinted, refuseShortSerial, textsOf } from './named.ts'
import { mountWarnings, pathsOf, refuseInState } from './output-files.ts'
import { keyFault, newKeys, readTracked, renewedFiles } from './renewed-files.ts'
import { pkcs12Passwords, type AskPassword, type Pkcs12Passwords } from './pkcs12-passwords.ts'
import { revocationUrlFor, wantedBefore } from './revocation-url.ts'
import { chooseScopeAgain } from './scope-choice.ts'
import { currentCertificates, isDue } from './status.ts'
import { quotedPath } from '../shell-word.ts'

/** What became of one certificate. */
export interface Renewal {
  readonly previous: CertificateRecord
  readonly outcome: 'renewed' | 'skipped' | 'failed'
  /** With `renewed` the new one; with `skipped` the one that another command made meanwhile. */
  readonly record?: CertificateRecord
  /** One sentence, with `skipped` and `failed`. */
  readonly reason?: string
  readonly hint?: string
  /** With `skipped`: it was revoked or forgotten, or its file deleted, so nothing is left to renew. */
  readonly over?: true
  /** Sentences about the files of a renewed certificate; absent: there is nothing to say. */
  readonly warnings?: readonly string[]
}

/** Which certificates: all, those that are due, or named by host, serial number or file. */
export type Selection = { readonly which: 'all' | 'due' } | Named

interface Named {
  readonly which: 'named'
  /** Hosts, serial numbers and files. */
  readonly names: readonly string[]
  /** What relative paths are relative to; default: the current directory. */
  readonly cwd?: string
  /** Whether to take every certificate that a name selects; else each must select one alone. */
  readonly all?: boolean | undefined
}

export interface RenewOptions {
  /**
   * Whether to make a new key too; by default only the certificate's file changes, by one rename.
   */
  readonly rekey?: boolean | undefined
  /** Asks for the passwords of PKCS #12 files that are not kept; default: those files stay. */
  readonly askPassword?: AskPassword | undefined
  /** Called for each damaged line of the record, as `readInventory` calls it. */
  readonly onDamage?: ((sentence: string) => void) | undefined
  /** Whether to renew a selected certificate; default: each. */
  readonly only?: (record: CertificateRecord) => Promise<boolean>
}

/** The certificates that renewals made. */
export const newlyMade = (renewals: readonly Renewal[]): CertificateRecord[] =>
  renewals.flatMap(({ outcome, record }) =>
    outcome === 'renewed' && record !== undefined ? [record] : [],
  )

/**
 * Returns the certificates that are renewed when they are due: the newest of each file, unless
 * self-signed or revoked.
 */
export const renewable = (inventory: Inventory): CertificateRecord[] =>
  signedByScope(withFile(inventory)).filter(
    ({ serialNumber }) => !inventory.revocations.has(serialNumber),
  )

/**
 * Issues the selected certificates anew, each with as many days of lifetime as it had, and replaces
 * their files. A failure does not stop the others. Throws `usage` when a name selects nothing, or
 * several certificates that were not asked for.
 */
export async function renew(
  state: StateDirectory,
  selection: Selection,
  options: RenewOptions,
  now: Date,
): Promise<Renewal[]> {
  const view = await readView(state, selection, options)
  const scopes = await readScopes(state)
  const renewals: Renewal[] = []
  for (const previous of await select(state, view.inventory, selection, now)) {
    if (options.only !== undefined && !(await options.only(previous))) continue
    renewals.push(await renewOne(state, previous, { selection, view, scopes }, options, now))
  }
  // The record is whole without it, and the certificates are renewed.
  if (newlyMade(renewals).length > 0)
    await compactWhereWorthwhile(state, now).catch(() => undefined)
  return renewals
}

/** The record as it was last read. */
interface View {
  stamp: string
  inventory: Inventory
  /** By file: its newest certificate. */
  newest: ReadonlyMap<string | null, CertificateRecord>
}

async function readView(
  state: StateDirectory,
  selection: Selection,
  { onDamage }: RenewOptions,
): Promise<View> {
  // The stamp is taken before the record is read, so that a change in between is seen the next
  // time.
  const stamp = await stampOf(recordPath(state))
  refuseWritableRecord(state)
  const inventory =
    selection.which === 'named'
      ? await readInventoryOf(state, textsOfAll(selection), { onDamage })
      : await readCurrentInventory(state, { printed: false, onDamage })
  const newest = new Map(inventory.certificates.map((record) => [record.certPath, record]))
  return { stamp, inventory, newest }
}

const textsOfAll = ({ names, cwd = '' }: Named): string[] =>
  names.flatMap((name) => textsOf(name, cwd))

async function select(
  state: StateDirectory,
  inventory: Inventory,
  selection: Selection,
  now: Date,
): Promise<readonly CertificateRecord[]> {
  const tracked = withFile(inventory)
  switch (selection.which) {
    case 'all':
      return signedByScope(tracked)
    case 'due':
      return renewable(inventory).filter((record) => isDue(record, now))
    case 'named': {
      const found = new Set<CertificateRecord>()
      for (const name of selection.names)
        for (const record of await named(state, inventory, name, selection)) found.add(record)
      return [...found]
    }
  }
}

const withFile = ({ certificates, forgotten }: Inventory): CertificateRecord[] =>
  currentCertificates(certificates).filter(
    ({ certPath, serialNumber }) => certPath !== null && !forgotten.has(serialNumber),
  )

const signedByScope = (tracked: readonly CertificateRecord[]): CertificateRecord[] =>
  tracked.filter(({ scope }) => scope !== selfSignedScope)

async function named(
  state: StateDirectory,
  inventory: Inventory,
  word: string,
  { cwd = '', all }: Named,
): Promise<readonly CertificateRecord[]> {
  const tracked = new Set(withFile(inventory))
  const found = certificatesNamed(inventory, word, cwd).filter((record) => tracked.has(record))
  if (found.length === 0) {
    await refuseMoved(state, resolve(cwd, word))
    refusePrinted(inventory, word, { cwd, verb: 'renew' })
    refuseShortSerial(inventory, word, cwd)
  }
  return chosen(state, found, { word, all, command: 'rootling renew' })
}

/** What is read once and used for one renewal after the other. */
interface Known {
  readonly selection: Selection
  readonly view: View
  readonly scopes: readonly Scope[]
}

async function renewOne(
  state: StateDirectory,
  previous: CertificateRecord,
  known: Known,
  options: RenewOptions,
  now: Date,
): Promise<Renewal> {
  try {
    return await reissue(state, previous, known, options, now)
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    const { message: reason, hint } = error
    return { previous, outcome: 'failed', reason, ...(hint === undefined ? {} : { hint }) }
  }
}

async function reissue(
  state: StateDirectory,
  previous: CertificateRecord,
  { selection, view, scopes }: Known,
  options: RenewOptions,
  now: Date,
): Promise<Renewal> {
  const { rekey = false } = options
  const skip = (why: Skip): Renewal => ({ previous, outcome: 'skipped', ...why })
  const { identifiers, purpose, subject, keyType, certPath } = previous
  if (certPath === null) return skip({ reason: 'It has no file.' })
  const before = skipReason(view, previous)
  if (before !== null) return skip(before)
  // All else takes milliseconds, and thousands of files may have gone with their directory.
  const isGone = !(await exists(certPath).catch(() => true))
  const gone = isGone ? await readTracked(certPath, previous) : null
  if (gone !== null && 'reason' in gone) return skip({ ...gone, over: true })
  await refuseInState(state, pathsOf(previous), ['kept', 'beside'], issueElsewhere(previous))
  checkNames(previous)
  const scope = await chooseScopeAgain(state, scopes, previous, now)
  const url = await revocationUrlFor(state, wantedBefore(previous))
  const signer = await openSigner(keysOf(state), scope, now)
  const pkcs12 = await pkcs12Passwords(state, previous, options.askPassword)
  return exclusively(state, async () => {
    if ((await stampOf(recordPath(state))) !== view.stamp)
      Object.assign(view, await readView(state, selection, options))
    const meanwhile = skipReason(view, previous)
    if (meanwhile !== null) return skip(meanwhile)
    const certificate = await readTracked(certPath, previous)
    if ('reason' in certificate) return skip(certificate)
    const fault = rekey ? null : await keyFault(certificate, previous)
    if (fault !== null) return skip(fault)
    if (rekey || holdsKey(previous)) await askForUser()
    const keys = rekey ? await newKeys(state, previous) : null
    const spki = keys?.spki ?? certificate.publicKey.export({ type: 'spki', format: 'der' })
    const lifetime = daysOf(previous)
    const request = { identifiers, purpose, subject, spki, keyType, lifetime, ...url }
    const leaf = await signLeaf(request, scope, signer, now)
    const record = renewedRecord(previous, leaf, pkcs12)
    const files = await renewedFiles(state, { ...previous, certPath }, leaf, keys, pkcs12)
    const warnings = [...pkcs12.warnings, ...mountWarnings(files.map(({ path }) => path))]
    await recordAndWrite(state, record, files)
    // The line of this renewal is all that has changed the record, so the view still holds for the
    // other certificates.
    view.stamp = await stampOf(recordPath(state))
    const said = warnings.length === 0 ? {} : { warnings }
    return { previous, record, outcome: 'renewed', ...said }
  })
}

/** Whether a renewal writes the old key again, beside the new certificate. */
const holdsKey = ({ certPath, keyPath, extra = [] }: CertificateRecord): boolean =>
  certPath === keyPath || extra.some(({ format }) => format === 'full')

type Skip = Pick<Renewal, 'record' | 'reason' | 'hint' | 'over'>

/** Why this certificate is not renewed (self-signed, replaced or revoked); `null`: renew it. */
function skipReason({ inventory, newest: ofFile }: View, previous: CertificateRecord): Skip | null {
  const { serialNumber, certPath, scope } = previous
  if (scope === selfSignedScope)
    return { reason: 'It is self-signed.', hint: `To make it anew: ${issueInFiles(previous)}` }
  const newest = ofFile.get(certPath)
  if (newest !== undefined && newest.serialNumber !== serialNumber)
    return { record: newest, reason: 'It was replaced meanwhile.' }
  if (inventory.forgotten.has(serialNumber)) return { reason: 'It was forgotten.', over: true }
  if (!inventory.revocations.has(serialNumber)) return null
  return { reason: 'It was revoked.', hint: issueAgain(previous), over: true }
}

const issueElsewhere = (record: CertificateRecord): string =>
  `Issue it elsewhere, then delete that file: ${issueAgain(record)} --out-dir DIR`

/** Returns for how many days a certificate was issued, at least 1 and at most what `issue` takes. */
function daysOf(record: CertificateRecord): number {
  const { notBefore, notAfter } = parseValidity(record)
  const days = Math.round((notAfter.getTime() - notBefore.getTime()) / day)
  return Math.min(Math.max(days, 1), maximumDays)
}

/**
 * Throws `bad-name` and `corrupt-state` for names that `issue` does not take: the record is damaged,
 * or an older version took them.
 */
function checkNames({ identifiers, subject, certPath }: CertificateRecord): void {
  const sound = identifiers.every(({ type, value }) => {
    const name = parseIdentifier(value)
    return name.type === type && name.value === value
  })
  if (sound && (identifiers.length > 0 || subject !== undefined)) return
  throw new RootlingError(
    'corrupt-state',
    `The record of ${quotedPath(certPath ?? '')} has a damaged name.`,
    {
      hint: 'Issue it anew: rootling issue NAME --force',
    },
  )
}

/**
 * Returns the record of the new certificate: its facts, with the paths and the hook of the old
 * record, but without the files that are gone. The revocation URL is not taken over, since the new
 * certificate may have none.
 */
function renewedRecord(
  previous: CertificateRecord,
  { facts }: Leaf,
  { gone }: Pkcs12Passwords,
): CertificateRecord {
  const { serialNumber: _old, revocationUrl: _url, responder: _responder, ...kept } = previous
  if (gone.size === 0) return { ...kept, ...facts }
  const { extra = [], ...rest } = kept
  const left = extra.filter(({ path }) => !gone.has(path))
  return { ...rest, ...(left.length === 0 ? {} : { extra: left }), ...facts }
}
