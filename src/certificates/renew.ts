import { createPrivateKey, X509Certificate } from 'node:crypto'
import { scopeFor } from '../authority/coverage.ts'
import { readScopes, type Scope } from '../authority/scope.ts'
import { openSigner } from '../authority/signer.ts'
import { RootlingError } from '../errors.ts'
import { exists } from '../files/exists.ts'
import { readPrivateText, readText } from '../files/read.ts'
import { stampOf } from '../files/stamp.ts'
import { stat } from '../files/sync-fs.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { shellWord } from '../shell-word.ts'
import { exclusively, recordAndWrite, type OutputFile } from '../storage/files/pending.ts'
import { readCurrentInventory, recordPath } from '../storage/files/record.ts'
import type { CertificateRecord, Inventory } from '../storage/records.ts'
import { generateKeys, keyTypes, type KeyType } from '../x509/keys.ts'
import { fingerprintOf } from '../x509/parsed-certificate.ts'
import { encodePem, privateKeyBlocks } from '../x509/pem.ts'
import { day } from '../x509/profiles.ts'
import { extraFile } from './issue.ts'
import { selfSignedScope, signLeaf } from './leaf.ts'
import { wantedBefore, revocationUrlFor } from './revocation-url.ts'
import { currentCertificates, isDue } from './status.ts'

/** What became of one certificate. */
export interface Renewal {
  readonly previous: CertificateRecord
  readonly outcome: 'renewed' | 'skipped' | 'failed'
  /** The new one, with `renewed`; with `skipped` the one that something else made meanwhile. */
  readonly record?: CertificateRecord
  /** One sentence, with `skipped` and `failed`, and a hint where there is one. */
  readonly reason?: string
  readonly hint?: string
}

/** Which certificates: named by host, serial number or file, all, or those that are due. */
export type Selection =
  | { readonly which: 'all' | 'due' }
  | { readonly which: 'named'; readonly names: readonly string[] }

export interface RenewOptions {
  /** A new key too; by default only the certificate's file changes, by one rename. */
  readonly rekey?: boolean | undefined
  /** Whether a certificate takes part; default: all that are selected. */
  readonly only?: (record: CertificateRecord) => Promise<boolean>
}

/** Of renewals the certificates that they made. */
export const newlyMade = (renewals: readonly Renewal[]): CertificateRecord[] =>
  renewals.flatMap(({ outcome, record }) =>
    outcome === 'renewed' && record !== undefined ? [record] : [],
  )

/** What is renewed when it is due: the newest certificate of each file, issued here, not revoked. */
export const renewable = ({ certificates, revocations }: Inventory): CertificateRecord[] =>
  issuedHere(withFile(certificates)).filter(({ serialNumber }) => !revocations.has(serialNumber))

/**
 * Re-issues tracked files in place, each with the lifetime that it had. One that fails does not
 * stop the others. Throws `usage` when a name selects nothing.
 */
export async function renew(
  state: StateDirectory,
  selection: Selection,
  options: RenewOptions,
  now: Date,
): Promise<Renewal[]> {
  const view = await look(state)
  const scopes = await readScopes(state)
  const renewals: Renewal[] = []
  for (const previous of select(view.inventory, selection, now)) {
    if (options.only !== undefined && !(await options.only(previous))) continue
    renewals.push(await renewOne(state, previous, { view, scopes }, options, now))
  }
  return renewals
}

/** The record as it was last read. */
interface View {
  stamp: string
  inventory: Inventory
}

async function look(state: StateDirectory): Promise<View> {
  // Before it is read: a change in between is seen by the next look.
  const stamp = await stampOf(recordPath(state))
  return { stamp, inventory: await readCurrentInventory(state, { printed: false }) }
}

function select(inventory: Inventory, selection: Selection, now: Date): CertificateRecord[] {
  const tracked = withFile(inventory.certificates)
  switch (selection.which) {
    case 'all':
      return issuedHere(tracked)
    case 'due':
      return renewable(inventory).filter((record) => isDue(record, now))
    case 'named':
      return [...new Set(selection.names.flatMap((name) => named(tracked, name)))]
  }
}

const withFile = (certificates: readonly CertificateRecord[]): CertificateRecord[] =>
  currentCertificates(certificates).filter(({ certPath }) => certPath !== null)

const issuedHere = (tracked: readonly CertificateRecord[]): CertificateRecord[] =>
  tracked.filter(({ scope }) => scope !== selfSignedScope)

function named(tracked: readonly CertificateRecord[], name: string): CertificateRecord[] {
  const lower = name.toLowerCase().replaceAll(':', '')
  const found = tracked.filter(
    ({ identifiers, serialNumber, certPath }) =>
      serialNumber === lower ||
      certPath === name ||
      identifiers.some(({ value }) => value === name.toLowerCase()),
  )
  if (found.length > 0) return found
  throw new RootlingError('usage', `No certificate on record is for ${name}.`, {
    hint: 'rootling list',
  })
}

interface Known {
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
  { view, scopes }: Known,
  { rekey = false }: RenewOptions,
  now: Date,
): Promise<Renewal> {
  const { identifiers, purpose, keyType, certPath, keyPath } = previous
  if (certPath === null) return { previous, outcome: 'skipped', reason: 'It has no file.' }
  if (previous.scope === selfSignedScope)
    return {
      previous,
      outcome: 'skipped',
      reason: 'It is self-signed.',
      hint: 'rootling issue --self-signed makes it anew',
    }
  const ended = afterlife(view, previous)
  if (ended !== null) return ended
  const scope = scopeFor(scopes, identifiers)
  const responder = await revocationUrlFor(state, wantedBefore(previous))
  const signer = await openSigner(state, scope, now)
  return exclusively(state, async () => {
    if ((await stampOf(recordPath(state))) !== view.stamp) Object.assign(view, await look(state))
    const ended = afterlife(view, previous)
    if (ended !== null) return ended
    const standing = await standingFile(certPath, previous)
    if ('reason' in standing) return { previous, outcome: 'skipped', ...standing }
    const lost = rekey ? null : await lostKey(standing, previous)
    if (lost !== null) return { previous, outcome: 'skipped', ...lost }
    const keys = rekey ? await newKeys(state, previous) : null
    const spki = keys?.spki ?? standing.publicKey.export({ type: 'spki', format: 'der' })
    const lifetime = Math.round(
      (Date.parse(previous.notAfter) - Date.parse(previous.notBefore)) / day,
    )
    const leaf = signLeaf(
      { identifiers, purpose, spki, keyType, lifetime, ...responder },
      scope,
      signer,
      now,
    )
    const oldKey = await keyText(state, previous)
    const key = keys === null ? oldKey : encodePem('PRIVATE KEY', keys.pkcs8)
    const files: OutputFile[] = []
    if (keys !== null && keyPath !== null && keyPath !== certPath)
      files.push({ path: keyPath, data: key, ...(await ownerOf(keyPath, 0o600)) })
    const data = certPath === keyPath ? leaf.chain + key : leaf.chain
    files.push({ path: certPath, data, ...(await ownerOf(certPath, 0o644)) })
    for (const extra of previous.extra ?? [])
      if (extra.format !== 'pkcs12')
        files.push(
          await keepOwner(extraFile(extra, leaf, key), extra.format === 'full' ? oldKey : ''),
        )
    const { serialNumber: _old, revocationUrl: _url, responder: _responder, ...rest } = previous
    const record: CertificateRecord = { ...rest, ...leaf.facts }
    await recordAndWrite(state, record, files)
    // What we wrote ourselves says nothing of the others.
    view.stamp = await stampOf(recordPath(state))
    return { previous, record, outcome: 'renewed' }
  })
}

interface Reason {
  readonly reason: string
  readonly hint: string
}

/** Why there is nothing to renew any more; `null`: there is. */
function afterlife({ inventory }: View, previous: CertificateRecord): Renewal | null {
  const { serialNumber, identifiers, certPath } = previous
  const newest = inventory.certificates.findLast((entry) => entry.certPath === certPath)
  if (newest !== undefined && newest.serialNumber !== serialNumber)
    return { previous, outcome: 'skipped', record: newest, reason: 'It was replaced meanwhile.' }
  if (!inventory.revocations.has(serialNumber)) return null
  const hint = `rootling issue ${identifiers.map(({ value }) => shellWord(value)).join(' ')}`
  return { previous, outcome: 'skipped', reason: 'It was revoked.', hint }
}

/** The certificate in the file, when it is the one on record. */
async function standingFile(
  path: string,
  { fingerprint }: CertificateRecord,
): Promise<X509Certificate | Reason> {
  const text = await readText(path)
  if (text === null) return { reason: `${path} is gone.`, hint: 'rootling issue makes it anew' }
  try {
    const certificate = new X509Certificate(text)
    // Its key is what the new one is for: a number alone anybody could have copied.
    if (fingerprintOf(certificate) === fingerprint) return certificate
  } catch {
    // No certificate at all: the same sentence.
  }
  return { reason: `${path} was changed by something else since.`, hint: 'rootling issue --force' }
}

/** Why the key that stays would not fit any more; `null`: it does, or it cannot be read here. */
async function lostKey(
  certificate: X509Certificate,
  { keyPath, serialNumber }: CertificateRecord,
): Promise<Reason | null> {
  if (keyPath === null) return null
  if (!(await exists(keyPath)))
    return { reason: `${keyPath} is gone.`, hint: `rootling renew ${serialNumber} --rekey` }
  // A server of another user may keep it, or a passphrase: then it is left as it is.
  const text = await readText(keyPath).catch(() => null)
  if (text === null || text.includes('ENCRYPTED')) return null
  try {
    if (certificate.checkPrivateKey(createPrivateKey(text))) return null
  } catch {
    // No key at all: the same sentence.
  }
  const reason = `${keyPath} holds another key than the certificate's.`
  return { reason, hint: 'rootling issue --force' }
}

async function newKeys(
  state: StateDirectory,
  { keyType, keyPath }: CertificateRecord,
): ReturnType<typeof generateKeys> {
  const type = keyTypes.find((known): known is KeyType => known === keyType)
  if (type === undefined || keyPath === null)
    throw new RootlingError('usage', 'A certificate of a request keeps the key of its request.', {
      hint: 'Leave out --rekey',
    })
  if ((await readPrivateText(keyPath, state.owner))?.includes('ENCRYPTED') === true)
    throw new RootlingError('usage', 'Its key is encrypted, and its passphrase is not kept.', {
      hint: 'Leave out --rekey, or issue it anew: rootling issue --encrypt-key',
    })
  return generateKeys(type)
}

/** The key's PEM where a file holds it beside the certificate; an empty text where none does. */
async function keyText(
  state: StateDirectory,
  { certPath, keyPath, extra = [] }: CertificateRecord,
): Promise<string> {
  const needed = certPath === keyPath || extra.some(({ format }) => format === 'full')
  if (!needed || keyPath === null) return ''
  const [block] = privateKeyBlocks((await readPrivateText(keyPath, state.owner)) ?? '')
  return block?.text ?? ''
}

/** A file that does not hold `secret` is not the one that we wrote, and its owner gets no key. */
async function keepOwner(file: OutputFile, secret: string): Promise<OutputFile> {
  const ours = secret === '' || (await readText(file.path).catch(() => null))?.includes(secret)
  return ours === true ? { ...file, ...(await ownerOf(file.path, file.mode)) } : file
}

/** The owner and mode that a file has; where there is none, `mode`. */
async function ownerOf(path: string, mode: number): Promise<Pick<OutputFile, 'mode' | 'owner'>> {
  const info = await stat(path).catch(() => null)
  if (info === null) return { mode }
  const { uid, gid } = info
  return { mode: info.mode & 0o777, ...(process.geteuid?.() === 0 ? { owner: { uid, gid } } : {}) }
}
