import type { Scope } from '../authority/scope.ts'
import { exists } from '../files/exists.ts'
import { readText } from '../files/read.ts'
import { stat } from '../files/sync-fs.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { newestOfFile } from '../storage/files/record.ts'
import { selfSignedScope, type CertificateRecord, type ExtraFile } from '../storage/records.ts'
import { keyTypes } from '../x509/keys.ts'
import { day, defaultDays, parseValidity } from '../x509/profiles.ts'
import type { KeyProtection } from './file-contents.ts'
import { pathsOf } from './output-files.ts'
import type { WantedUrl } from './revocation-url.ts'

/** An option of `rootling issue`, with its value if it takes one. */
export type IssueOption = readonly [name: string, value?: string]

/** The options of a request that another one may lack; `undefined`: it was not given. */
interface GivenOptions extends KeyProtection {
  readonly scope?: string | undefined
  readonly selfSigned?: boolean | undefined
  readonly days?: number | undefined
  readonly keyType?: string | undefined
  readonly csr?: Buffer | undefined
  readonly onRenew?: string | undefined
  readonly onRenewSeconds?: number | undefined
  readonly revocationUrl?: WantedUrl
}

/** What a new certificate leaves behind of the one that it takes the file of. */
export interface Replaced {
  readonly record: CertificateRecord
  /** Whether the old certificate was for a name, or a client, that the new one is not for. */
  readonly losesNames: boolean
  /** The options of the old certificate that were not given for the new one. */
  readonly options: readonly IssueOption[]
  /** The old certificate's files that are there and are not written anew. */
  readonly stale: readonly StaleFile[]
}

interface StaleFile {
  readonly path: string
  readonly holds: 'certificate' | 'key'
  /** The options with which it would be written. */
  readonly options: readonly IssueOption[]
}

/**
 * Finds what the last certificate in the same file had and a new one has not; `null`: there was no
 * such certificate. Call it before the new files are written: whether a key is encrypted, and its
 * group, are not on record.
 */
export async function findReplaced(
  state: StateDirectory,
  record: CertificateRecord,
  request: GivenOptions,
  scopes: readonly Scope[],
): Promise<Replaced | null> {
  if (record.certPath === null) return null
  // It skips damaged lines, which must not keep a person from a new certificate.
  const found = await newestOfFile(state, record.certPath)
  if (found === null || found.forgotten) return null
  const previous = found.certificate
  const kept = new Set(record.identifiers.map(({ value }) => value))
  const losesNames =
    previous.identifiers.some(({ value }) => !kept.has(value)) ||
    (previous.identifiers.length === 0 && previous.subject !== record.subject)
  const isSame = !losesNames && kept.size === previous.identifiers.length
  return {
    record: previous,
    losesNames,
    options: [
      ...(isSame ? holderOptions(previous, record) : []),
      ...issuerOptions(previous, request, scopes),
      ...hookOptions(previous, request),
      ...(await keyOptions(state, previous, request)),
    ],
    stale: await staleFiles(previous, record, request),
  }
}

function holderOptions(previous: CertificateRecord, record: CertificateRecord): IssueOption[] {
  const options: IssueOption[] = []
  if (previous.purpose === 'client' && record.purpose === 'server') options.push(['client'])
  if (previous.subject !== undefined && record.subject === undefined)
    options.push(['subject', previous.subject])
  return options
}

function issuerOptions(
  previous: CertificateRecord,
  { scope, selfSigned, days, revocationUrl }: GivenOptions,
  scopes: readonly Scope[],
): IssueOption[] {
  if (selfSigned === true || previous.scope === selfSignedScope) return []
  const options: IssueOption[] = []
  // Only a person chooses a private scope; the others are found by the names.
  const isPrivate = scopes.some(({ name, use }) => name === previous.scope && use === 'private')
  if (isPrivate && scope === undefined) options.push(['scope', previous.scope])
  const lasted = daysOf(previous)
  if (days === undefined && lasted !== defaultDays) options.push(['days', String(lasted)])
  if (revocationUrl === undefined && previous.responder === 'none')
    options.push(['no-revocation-url'])
  if (
    revocationUrl === undefined &&
    previous.responder === undefined &&
    previous.revocationUrl !== undefined
  )
    options.push(['revocation-url', previous.revocationUrl])
  return options
}

function hookOptions(
  previous: CertificateRecord,
  { onRenew, onRenewSeconds }: GivenOptions,
): IssueOption[] {
  const options: IssueOption[] = []
  if (previous.onRenew === undefined) return options
  if (onRenew === undefined) options.push(['on-renew', previous.onRenew])
  if (onRenewSeconds === undefined && previous.onRenewSeconds !== undefined)
    options.push(['hook-timeout', String(previous.onRenewSeconds)])
  return options
}

async function keyOptions(
  state: StateDirectory,
  { keyPath, keyType, keyMode, extra = [] }: CertificateRecord,
  request: GivenOptions,
): Promise<IssueOption[]> {
  // With a certification request, the key and its file are not Rootling's.
  if (keyPath === null || request.csr !== undefined) return []
  const options: IssueOption[] = []
  const isOffered = keyTypes.some((type) => type === keyType)
  if (isOffered && request.keyType === undefined && keyType !== 'p256')
    options.push(['key-type', keyType])
  const group = await groupOf(keyPath, state)
  const isGiven = keyMode !== undefined && group !== null
  if (isGiven && request.keyOwner === undefined) options.push(['group', String(group)])
  if (keyMode !== undefined && request.keyMode === undefined && !(isGiven && keyMode === '0640'))
    options.push(['key-mode', keyMode])
  const key = await readText(keyPath).catch(() => null)
  if (request.keyPassphrase === undefined && key?.includes('ENCRYPTED PRIVATE KEY') === true)
    options.push(['encrypt-key'])
  if (request.pkcs12?.legacy === false && extra.some(({ legacy }) => legacy === true))
    options.push(['legacy-pkcs12'])
  return options
}

/** Returns the group that a file was given to; `null`: it is the user's own group, or unknown. */
async function groupOf(path: string, { owner }: StateDirectory): Promise<number | null> {
  const gid = (await stat(path).catch(() => null))?.gid
  return gid === undefined || gid === (owner?.gid ?? process.getegid?.()) ? null : gid
}

async function staleFiles(
  { certPath, keyPath, extra = [] }: CertificateRecord,
  record: CertificateRecord,
  { csr }: GivenOptions,
): Promise<StaleFile[]> {
  const old: StaleFile[] = extra.map((file) => ({
    path: file.path,
    holds: 'certificate',
    options: optionsFor(file, certPath),
  }))
  // The key of a certification request is its author's, who knows where it is.
  if (keyPath !== null && csr === undefined)
    old.push({ path: keyPath, holds: 'key', options: [['key-file', keyPath]] })
  const written = new Set(pathsOf(record))
  const stale: StaleFile[] = []
  for (const file of old)
    if (!written.has(file.path) && (await exists(file.path).catch(() => false))) stale.push(file)
  return stale
}

function optionsFor({ format, path, legacy }: ExtraFile, certPath: string | null): IssueOption[] {
  switch (format) {
    case 'chain':
      return [['chain-file', path]]
    case 'der':
    case 'full':
      return [[format]]
    case 'pkcs12': {
      const isNamed = path !== certPath?.replace(/\.pem$/, '.p12')
      const named: IssueOption[] = isNamed ? [['p12-file', path]] : []
      if (legacy === true) return [['legacy-pkcs12'], ...named]
      return isNamed ? named : [['pkcs12']]
    }
  }
}

function daysOf(record: CertificateRecord): number {
  const { notBefore, notAfter } = parseValidity(record)
  return Math.round((notAfter.getTime() - notBefore.getTime()) / day)
}
