import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { openSigner, readScopes, scopeFor, type Scope } from './authority.ts'
import { RootlingError } from './errors.ts'
import { refuseForeign } from './output-files.ts'
import type { StateDirectory } from './paths.ts'
import { exclusively, recordAndWrite, type OutputFile } from './pending.ts'
import type { CertificateRecord } from './storage/certificate-store.ts'
import { hasCode, unwritable } from './storage/files.ts'
import { isBareWildcard, parseIdentifier, type Identifier } from './x509/identifier.ts'
import { randomSerialNumber, type Signer } from './x509/certificate.ts'
import { generateKeys, type KeyType } from './x509/keys.ts'
import { encodePem } from './x509/pem.ts'
import { day, defaultDays, leafValidity, maximumDays, signServerLeaf } from './x509/profiles.ts'

export interface IssueRequest {
  /** Hosts, wildcards, addresses, mailboxes, URIs, as typed. */
  readonly names: readonly string[]
  /** Default `p256`. */
  readonly keyType?: KeyType | undefined
  /** 1 to 825; default 397. */
  readonly days?: number | undefined
  /** Where to write; `null`: nowhere, the caller takes the PEM. Default: named after `names`. */
  readonly files?: OutputPaths | null
  /** Replaces files that are not ours, and signs mixtures that Firefox refuses. */
  readonly force?: boolean | undefined
}

export interface OutputPaths {
  readonly outDir?: string | undefined
  readonly certPath?: string | undefined
  readonly keyPath?: string | undefined
}

export interface Issued {
  readonly record: CertificateRecord
  readonly scope: Scope
  /** PEM: the leaf, then the intermediate. */
  readonly chain: string
  /** PKCS #8 PEM. */
  readonly key: string
  /** Sentences for the person, such as what browsers refuse. */
  readonly warnings: readonly string[]
}

/**
 * Issues a certificate, records it and writes its files. Throws `bad-name`, `not-permitted`,
 * `not-ours`, `issuer-expired`, `state-unwritable`, …, each before anything was changed.
 */
export async function issue(
  state: StateDirectory,
  request: IssueRequest,
  now: Date,
): Promise<Issued> {
  const identifiers = parseNames(request.names)
  const days = checkDays(request.days)
  const warnings = namesWarnings(identifiers, request.force === true)
  const scopes = await readScopes(state)
  const scope = scopeFor(scopes, identifiers)
  const signer = await openSigner(state, scope, now)
  const keyType = request.keyType ?? 'p256'
  const leaf = await signLeaf({ identifiers, keyType, days, scope, signer, now })
  if (leaf.shortened) warnings.push(`It ends with its issuer, on ${leaf.notAfter.toISOString()}.`)
  if (keyType === 'ed25519') warnings.push('Chromium and Firefox refuse Ed25519 certificates.')
  const paths = request.files === null ? null : await resolvePaths(identifiers, request.files ?? {})
  const record: CertificateRecord = {
    serialNumber: leaf.serialNumber.toString('hex'),
    scope: scope.name,
    identifiers,
    notBefore: leaf.notBefore.toISOString(),
    notAfter: leaf.notAfter.toISOString(),
    keyType,
    purpose: 'server',
    fingerprint: createHash('sha256').update(leaf.der).digest('hex'),
    certPath: paths?.certPath ?? null,
    keyPath: paths?.keyPath ?? null,
  }
  const chain = encodePem('CERTIFICATE', leaf.der) + scope.intermediate.toString()
  const key = encodePem('PRIVATE KEY', leaf.pkcs8)
  await exclusively(state, async () => {
    if (paths !== null && request.force !== true) await refuseForeign(paths, scopes)
    await recordAndWrite(state, record, paths === null ? [] : outputFiles(paths, chain, key))
  })
  return { record, scope, chain, key, warnings }
}

function parseNames(names: readonly string[]): Identifier[] {
  if (names.length === 0)
    throw new RootlingError('usage', 'Name at least one host or address.', {
      hint: 'rootling issue localhost 127.0.0.1 ::1',
    })
  if (names.length > 250)
    throw new RootlingError('usage', `${names.length} names are too many for one certificate.`, {
      hint: 'Issue several certificates, of 250 names at most',
    })
  const seen = new Map<string, Identifier>()
  for (const identifier of names.map(parseIdentifier))
    seen.set(`${identifier.type}:${identifier.value}`, identifier)
  return [...seen.values()]
}

function checkDays(days: number | undefined): number {
  if (days === undefined) return defaultDays
  if (Number.isInteger(days) && days >= 1 && days <= maximumDays) return days
  const why = days > maximumDays ? `; Apple refuses more than ${maximumDays}` : ''
  throw new RootlingError('usage', `--days ${days} is not between 1 and ${maximumDays}${why}.`, {
    hint: `--days ${defaultDays}`,
  })
}

/** Firefox and Deno reject the whole certificate for a bare wildcard: hence not among others. */
function namesWarnings(identifiers: readonly Identifier[], force: boolean): string[] {
  const bare = identifiers.find(isBareWildcard)
  if (bare === undefined) return underscoreWarnings(identifiers)
  const better = bare.value.replace('*.', '*.dev.')
  if (identifiers.length > 1 && !force)
    throw new RootlingError(
      'bad-name',
      `Firefox refuses every name of a certificate that holds ${bare.value}, a wildcard directly under a top-level name.`,
      { hint: `Use ${better} instead, issue ${bare.value} alone, or add --force` },
    )
  return [
    `Browsers refuse ${bare.value}, a wildcard directly under a top-level name; use ${better}.`,
    ...underscoreWarnings(identifiers),
  ]
}

function underscoreWarnings(identifiers: readonly Identifier[]): string[] {
  return identifiers
    .filter(({ type, value }) => type === 'dns' && value.includes('_'))
    .map(({ value }) => `Java refuses ${value}: no host name has an underscore.`)
}

interface LeafRequest {
  readonly identifiers: readonly Identifier[]
  readonly keyType: KeyType
  readonly days: number
  readonly scope: Scope
  readonly signer: Signer
  readonly now: Date
}

async function signLeaf({ identifiers, keyType, days, scope, signer, now }: LeafRequest) {
  const { spki, pkcs8 } = await generateKeys(keyType)
  const serialNumber = randomSerialNumber()
  const validity = leafValidity(now, days, new Date(scope.intermediate.validTo))
  const rsa = keyType.startsWith('rsa')
  const der = signServerLeaf({ serialNumber, spki, rsa, identifiers, ...validity }, signer)
  const shortened = +validity.notAfter - +validity.notBefore < days * day - 1000
  return { der, pkcs8, serialNumber, shortened, ...validity }
}

/** mkcert's names: `NAME+N.pem` and `NAME+N-key.pem`, N the number of further names. */
export function fileNames(identifiers: readonly Identifier[]): { cert: string; key: string } {
  const first = (identifiers[0]?.value ?? '').replaceAll(':', '_').replaceAll('*', '_wildcard')
  const more = identifiers.length > 1 ? `+${identifiers.length - 1}` : ''
  const base = `${first.replaceAll('/', '_')}${more}`
  return { cert: `${base}.pem`, key: `${base}-key.pem` }
}

async function resolvePaths(
  identifiers: readonly Identifier[],
  { outDir = '.', certPath, keyPath }: OutputPaths,
): Promise<{ certPath: string; keyPath: string }> {
  const names = fileNames(identifiers)
  const paths = {
    certPath: certPath === undefined ? resolve(outDir, names.cert) : resolve(certPath),
    keyPath: keyPath === undefined ? resolve(outDir, names.key) : resolve(keyPath),
  }
  for (const path of new Set(Object.values(paths))) await refuseDirectory(path)
  return paths
}

async function refuseDirectory(path: string): Promise<void> {
  const parent = await stat(dirname(path)).catch((error: unknown) => {
    if (!hasCode(error, 'ENOENT')) throw unwritable(path, error)
    throw new RootlingError('state-unwritable', `The directory ${dirname(path)} does not exist.`, {
      hint: `mkdir -p ${dirname(path)}`,
    })
  })
  if (!parent.isDirectory())
    throw new RootlingError('state-unwritable', `${dirname(path)} is not a directory.`)
  const target = await stat(path).catch(() => null)
  if (target?.isDirectory() === true)
    throw new RootlingError('state-unwritable', `${path} is a directory.`, {
      hint: 'Name a file, or use --out-dir',
    })
}

/** The key first: a new key beside no certificate is harmless. One path takes both. */
function outputFiles(
  { certPath, keyPath }: { certPath: string; keyPath: string },
  chain: string,
  key: string,
): OutputFile[] {
  if (certPath === keyPath) return [{ path: certPath, mode: 0o600, data: chain + key }]
  return [
    { path: keyPath, mode: 0o600, data: key },
    { path: certPath, mode: 0o644, data: chain },
  ]
}
