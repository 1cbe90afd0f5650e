import { scopeFor } from '../authority/coverage.ts'
import { readScopes, readScopesInRotation, type Scope } from '../authority/scope.ts'
import { expiryWarning, openSigner } from '../authority/signer.ts'
import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { exclusively, recordAndWrite, type OutputFile } from '../storage/files/pending.ts'
import type { CertificateRecord, ExtraFile, Purpose } from '../storage/records.ts'
import type { Identifier } from '../x509/identifier.ts'
import { generateKeys, type KeyPairDer, type KeyType } from '../x509/keys.ts'
import { encodePem, pemBlocks } from '../x509/pem.ts'
import { signLeaf, signLeafByItself, type Leaf } from './leaf.ts'
import { checkDays, namesWarnings, parseNames } from './names.ts'
import {
  fileBase,
  refuseForeign,
  resolvePaths,
  type OutputPaths,
  type ResolvedPaths,
} from './output-files.ts'
import { revocationUrlFor, type WantedUrl } from './revocation-url.ts'

export interface IssueRequest {
  /** Hosts, wildcards, addresses, mailboxes, URIs, as typed. */
  readonly names: readonly string[]
  /** Default `server`. */
  readonly purpose?: Purpose | undefined
  /** Default `p256`. */
  readonly keyType?: KeyType | undefined
  /** 1 to 825; default 397. */
  readonly days?: number | undefined
  /** Where to write; `null`: nowhere, the caller takes the PEM. Default: named after `names`. */
  readonly files?: OutputPaths | null | undefined
  /** Replaces files that are not ours, and signs mixtures that Firefox refuses. */
  readonly force?: boolean | undefined
  /** A certification request, PEM or DER: its key, and its names where none are given. */
  readonly csr?: Buffer | undefined
  /** Signed by its own key, trusted by nobody. */
  readonly selfSigned?: boolean | undefined
  /** Encrypts the key's file. */
  readonly keyPassphrase?: string | undefined
  readonly pkcs12?: { readonly password: string; readonly legacy: boolean } | undefined
  /** Run by a shell after each renewal. */
  readonly onRenew?: string | undefined
  /**
   * Where a responder (`rootling ocsp`) is, for the certificate to name its OCSP and CRL; `false`:
   * none. Default: the daemon's, while it serves.
   */
  readonly revocationUrl?: WantedUrl
}

export interface Issued {
  readonly record: CertificateRecord
  /** PEM: the leaf, then the intermediate. */
  readonly chain: string
  /** PKCS #8 PEM; `null`: the key is whose request it was. */
  readonly key: string | null
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
  const scopes = await readScopes(state)
  const subject = await subjectOf(request)
  const { identifiers, keyType, keys } = subject
  const purpose = request.purpose ?? 'server'
  const warnings = purpose === 'server' ? namesWarnings(identifiers, request.force === true) : []
  const lifetime = checkDays(request.days)
  const leaf =
    request.selfSigned === true
      ? signByItself(subject, lifetime, now)
      : await signByScope(
          state,
          {
            ...subject,
            purpose,
            lifetime,
            ...(await revocationUrlFor(state, request.revocationUrl)),
          },
          scopes,
          now,
        )
  const scope = scopes.find(({ name }) => name === leaf.facts.scope)
  const ending = scope === undefined ? null : expiryWarning(scope, now)
  if (ending !== null) warnings.push(ending)
  if (leaf.shortened) warnings.push(`It ends with its issuer, on ${leaf.facts.notAfter}.`)
  if (keyType === 'ed25519') warnings.push('Chromium and Firefox refuse Ed25519 certificates.')
  const key = keys === null ? null : encodePem('PRIVATE KEY', keys.pkcs8)
  const base = fileBase(identifiers, purpose)
  const paths =
    request.files === null
      ? null
      : await resolvePaths(base, request.files ?? {}, keys !== null, state.owner)
  const record: CertificateRecord = {
    ...leaf.facts,
    certPath: paths?.certPath ?? null,
    keyPath: paths?.keyPath ?? null,
    ...(paths !== null && paths.extra.length > 0 ? { extra: paths.extra } : {}),
    ...(request.onRenew === undefined ? {} : { onRenew: request.onRenew }),
  }
  const files = paths === null ? [] : await outputFiles(paths, leaf, keys, request, base)
  await exclusively(state, async () => {
    if (paths !== null && request.force !== true)
      await refuseForeign(paths, [...scopes, ...(await readScopesInRotation(state))])
    await recordAndWrite(state, record, files)
  })
  return { record, chain: leaf.chain, key, warnings }
}

interface Subject {
  readonly identifiers: readonly Identifier[]
  readonly keyType: string
  readonly spki: Buffer
  /** `null`: a certification request's. */
  readonly keys: KeyPairDer | null
}

async function subjectOf({ names, csr, keyType = 'p256' }: IssueRequest): Promise<Subject> {
  if (csr === undefined) {
    const identifiers = parseNames(names)
    const keys = await generateKeys(keyType)
    return { identifiers, keyType, spki: keys.spki, keys }
  }
  const { readRequest } = await import('../x509/request.ts')
  const read = readRequest(csr)
  const identifiers = names.length > 0 ? parseNames(names) : read.names
  if (identifiers.length === 0)
    throw new RootlingError('usage', 'The request holds no names.', {
      hint: 'Add them: rootling issue --csr FILE localhost',
    })
  return { identifiers, keyType: read.keyType, spki: read.spki, keys: null }
}

async function signByScope(
  state: StateDirectory,
  request: Parameters<typeof signLeaf>[0],
  scopes: readonly Scope[],
  now: Date,
): Promise<Leaf> {
  const scope = scopeFor(scopes, request.identifiers)
  return signLeaf(request, scope, await openSigner(state, scope, now), now)
}

function signByItself({ identifiers, keyType, keys }: Subject, lifetime: number, now: Date): Leaf {
  if (keys !== null) return signLeafByItself({ identifiers, keyType, lifetime }, keys, now)
  throw new RootlingError('usage', 'A request cannot be self-signed: its key is not here.', {
    hint: 'Leave out --self-signed',
  })
}

/** The key first: a new key beside no certificate is harmless. One path takes both. */
async function outputFiles(
  { certPath, keyPath, extra }: ResolvedPaths,
  leaf: Leaf,
  keys: KeyPairDer | null,
  request: IssueRequest,
  friendlyName: string,
): Promise<OutputFile[]> {
  const plain = keys === null ? '' : encodePem('PRIVATE KEY', keys.pkcs8)
  const key = keys === null ? '' : await keyFileText(keys, plain, request.keyPassphrase)
  const files: OutputFile[] = []
  if (certPath === keyPath) files.push({ path: certPath, mode: 0o600, data: leaf.chain + key })
  else {
    if (keyPath !== null) files.push({ path: keyPath, mode: 0o600, data: key })
    files.push({ path: certPath, mode: 0o644, data: leaf.chain })
  }
  for (const { format, path } of extra) {
    if (format === 'pkcs12')
      files.push({ path, mode: 0o600, data: await pkcs12Of(leaf, keys, request, friendlyName) })
    else files.push(extraFile({ format, path }, leaf, key))
  }
  return files
}

/** A further file that can be made without a password. */
export function extraFile(
  { format, path }: ExtraFile,
  leaf: Pick<Leaf, 'chain' | 'issuers' | 'der'>,
  key: string,
): OutputFile {
  switch (format) {
    case 'chain':
      return { path, mode: 0o644, data: leaf.issuers }
    case 'der':
      return { path, mode: 0o644, data: leaf.der }
    case 'full':
      return { path, mode: 0o600, data: leaf.chain + key }
    case 'pkcs12':
      throw new TypeError('a PKCS #12 file needs its password')
  }
}

async function keyFileText(
  keys: KeyPairDer,
  plain: string,
  passphrase: string | undefined,
): Promise<string> {
  if (passphrase === undefined) return plain
  const { encryptPkcs8 } = await import('../x509/encrypted-key.ts')
  return encryptPkcs8(keys.pkcs8, passphrase)
}

async function pkcs12Of(
  { der, issuers }: Leaf,
  keys: KeyPairDer | null,
  { pkcs12 }: IssueRequest,
  friendlyName: string,
): Promise<Buffer> {
  if (keys === null || pkcs12 === undefined)
    throw new RootlingError('usage', 'A PKCS #12 file holds a key, and the key is not here.', {
      hint: 'Leave out --pkcs12 with --csr',
    })
  const { makePkcs12 } = await import('../x509/pkcs12.ts')
  const chain = [der, ...pemBlocks(issuers).map((block) => block.der)]
  return makePkcs12({ chain, pkcs8: keys.pkcs8, friendlyName, ...pkcs12 })
}
