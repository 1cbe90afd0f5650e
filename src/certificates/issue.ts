import { readScopes, readScopesInRotation, type Scope } from '../authority/scope.ts'
import { expiryWarning, openSigner } from '../authority/signer.ts'
import { RootlingError } from '../errors.ts'
import { askForUser } from '../files/access-list.ts'
import { existsSync } from '../files/exists.ts'
import type { Owner } from '../files/owner.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { keysOf } from '../storage/files/keys.ts'
import { exclusively, recordAndWrite } from '../storage/files/unfinished-writes.ts'
import type { CertificateRecord, ExtraFile, Purpose } from '../storage/records.ts'
import type { Identifier } from '../x509/identifier.ts'
import { generateKeys, type KeyPairDer, type KeyType } from '../x509/keys.ts'
import { isJavaPassword } from '../x509/java-password.ts'
import { encodePem } from '../x509/pem.ts'
import { mostCommonName } from '../x509/subject.ts'
import { outputFiles, type KeyProtection } from './file-contents.ts'
import { signLeaf, signLeafByItself, type Leaf } from './leaf.ts'
import { checkDays, namesWarnings, parseNames } from './names.ts'
import {
  fileBase,
  mountWarnings,
  ownerWarnings,
  pathsOf,
  refuseForeign,
  resolvePaths,
  type OutputPaths,
  type ResolvedPaths,
} from './output-files.ts'
import { findReplaced, type Replaced } from './replaced.ts'
import { revocationUrlFor, type WantedUrl } from './revocation-url.ts'
import { chooseScope } from './scope-choice.ts'
import { useOf } from './use.ts'
import { quotedPath } from '../shell-word.ts'

export interface IssueRequest extends KeyProtection {
  /** Hosts, wildcards, IP addresses, e-mail addresses and URIs, as typed. */
  readonly names: readonly string[]
  /** Default `server`. */
  readonly purpose?: Purpose | undefined
  /** The name of the scope that signs it; default: the narrowest that permits the names. */
  readonly scope?: string | undefined
  /**
   * The subject, as RFC 4514 writes it, such as `CN=alice,O=Example`. Only for clients, mail and
   * private scopes. A client with a subject needs no names.
   */
  readonly subject?: string | undefined
  /** Default `p256`. */
  readonly keyType?: KeyType | undefined
  /** 1 to 825; default 397. */
  readonly days?: number | undefined
  /**
   * Where to write the files; `null`: write none, the result has the PEM. Default: named after
   * `names`.
   */
  readonly files?: OutputPaths | null | undefined
  /**
   * Whose rights decide, under sudo, whether the files may be written there; default: those of the
   * state directory's owner, as for paths in a file that a stranger may have written. `null`: root's,
   * for paths that were typed on this command line, or that are in its working directory.
   */
  readonly rights?: Owner | null | undefined
  /**
   * Replaces files that this authority did not issue, and allows names that Firefox refuses
   * together.
   */
  readonly force?: boolean | undefined
  /** A certification request, PEM or DER: its key, and its names where `names` is empty. */
  readonly csr?: Buffer | undefined
  /** Whether the authority is created where there is none; default: `no-authority` is thrown. */
  readonly createAuthority?: boolean | undefined
  /** Whether the certificate is signed by its own key, so that nobody trusts it. */
  readonly selfSigned?: boolean | undefined
  /** A command that a shell runs after each renewal. */
  readonly onRenew?: string | undefined
  /** How many seconds that command may run, 1 to 86,400; default 60. */
  readonly onRenewSeconds?: number | undefined
  /**
   * The URL where `rootling ocsp` answers, below which the certificate says that its OCSP and CRL
   * are; `false`: the certificate names none. Default: the daemon's URL while it answers.
   */
  readonly revocationUrl?: WantedUrl
}

export interface Issued {
  readonly record: CertificateRecord
  /** PEM: the leaf, then the intermediate. */
  readonly chain: string
  /** PKCS #8 PEM; `null`: the key stayed with the author of the request. */
  readonly key: string | null
  /** Sentences for the user, such as what browsers refuse. */
  readonly warnings: readonly string[]
  /** Whether the certificate's file replaced another. */
  readonly replaced: boolean
  /** The certificate that the file held before, by the record; `null`: none is known. */
  readonly before: Replaced | null
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
  const purpose = request.purpose ?? 'server'
  if (request.files !== null && request.csr === undefined) await askForUser()
  const holder = await holderOf(request)
  const { identifiers, keys } = holder
  const warnings = purpose === 'server' ? namesWarnings(identifiers, request.force === true) : []
  const { leaf, scope } = await sign(state, { ...request, purpose }, holder, now)
  warnings.push(...leafWarnings(leaf, scope, now))
  const base = fileBase(leaf.facts)
  const paths =
    request.files === null
      ? null
      : await resolvePaths(base, request.files ?? {}, keys !== null, state)
  if (paths !== null)
    warnings.push(
      ...mountWarnings(pathsOf(paths)),
      ...ownerWarnings(state, pathsOf(paths)),
      ...passwordWarnings(paths, request),
    )
  const record = recordOf(leaf, paths, request)
  const files = paths === null ? [] : await outputFiles(paths, leaf, keys, request, base)
  const replaced = paths !== null && existsSync(paths.certPath)
  const before = await exclusively(state, async () => {
    // Read under the lock: another command may have made a scope and written these files just now.
    const scopes = paths === null ? [] : await readScopes(state)
    if (paths !== null && request.force !== true)
      await refuseForeign(state, paths, [...scopes, ...(await readScopesInRotation(state))])
    const found = paths === null ? null : await findReplaced(state, record, request, scopes)
    const { rights = state.owner } = request
    await recordAndWrite(
      state,
      record,
      files.map((file) => ({ ...file, rights })),
    )
    return found
  })
  const key = keys === null ? null : encodePem('PRIVATE KEY', keys.pkcs8)
  return { record, chain: leaf.chain, key, warnings, replaced, before }
}

/** Whose certificate it is: their names and key. */
interface Holder {
  readonly identifiers: readonly Identifier[]
  readonly keyType: string
  readonly spki: Buffer
  /** `null`: the public key came in a certification request. */
  readonly keys: KeyPairDer | null
}

async function holderOf(request: IssueRequest): Promise<Holder> {
  const { names, csr, keyType = 'p256', subject } = request
  const parse = (): Identifier[] =>
    names.length === 0 && subject !== undefined ? [] : parseNames(names)
  if (csr === undefined) {
    const identifiers = parse()
    const keys = await generateKeys(keyType)
    return { identifiers, keyType, spki: keys.spki, keys }
  }
  const { readRequest } = await import('../x509/request.ts')
  const read = readRequest(csr)
  const identifiers = names.length > 0 ? parse() : read.names
  if (identifiers.length === 0 && subject === undefined)
    throw new RootlingError('usage', 'The request holds no names.', {
      hint: 'Add them: rootling issue --csr FILE localhost',
    })
  return { identifiers, keyType: read.keyType, spki: read.spki, keys: null }
}

async function sign(
  state: StateDirectory,
  request: IssueRequest & { readonly purpose: Purpose },
  holder: Holder,
  now: Date,
): Promise<{ readonly leaf: Leaf; readonly scope: Scope | null }> {
  const { days, purpose, subject, selfSigned, revocationUrl } = request
  const lifetime = checkDays(days)
  if (selfSigned === true) return { leaf: await signByItself(holder, lifetime, now), scope: null }
  const url = await revocationUrlFor(state, revocationUrl)
  const { identifiers } = holder
  if (purpose === 'client' && subject === undefined) refuseLongName(identifiers[0])
  const scope = await chooseScope(
    state,
    { purpose, identifiers, subject, scope: request.scope, create: request.createAuthority },
    now,
  )
  const signer = await openSigner(keysOf(state), scope, now)
  return {
    leaf: await signLeaf({ ...holder, purpose, subject, lifetime, ...url }, scope, signer, now),
    scope,
  }
}

/** Throws `usage` for a name that is no common name: cut, it could be that of another client. */
function refuseLongName(first: Identifier | undefined): void {
  if (first === undefined || first.value.length <= mostCommonName) return
  throw new RootlingError(
    'usage',
    `${first.value} is longer than the ${mostCommonName} letters of a common name.`,
    { hint: 'Choose the name by which servers know the client: --cn alice' },
  )
}

async function signByItself(
  { identifiers, keyType, keys }: Holder,
  lifetime: number,
  now: Date,
): Promise<Leaf> {
  if (keys !== null) return signLeafByItself({ identifiers, keyType, lifetime }, keys, now)
  throw new RootlingError('usage', 'A request cannot be self-signed: its key is not here.', {
    hint: 'Leave out --self-signed',
  })
}

function passwordWarnings({ extra }: ResolvedPaths, { pkcs12 }: IssueRequest): string[] {
  const file = extra.find(({ format }) => format === 'pkcs12')
  if (file === undefined || pkcs12 === undefined || isJavaPassword(pkcs12.password)) return []
  return [
    `Java cannot open ${quotedPath(file.path)}: for .p12 files it takes only passwords of ASCII letters, digits, signs and spaces.`,
  ]
}

function leafWarnings({ facts, shortened }: Leaf, scope: Scope | null, now: Date): string[] {
  const expiry = scope === null ? null : expiryWarning(scope, now)
  const mail = useOf(facts) === 'servers' && facts.identifiers.find(({ type }) => type === 'email')
  return [
    ...(mail ? [`It is for servers alone; for mail, issue ${mail.value} alone.`] : []),
    ...(expiry === null ? [] : [expiry]),
    ...(shortened ? [`It ends with its issuer, on ${facts.notAfter}.`] : []),
    ...(facts.keyType === 'ed25519' ? ['Chromium and Firefox refuse Ed25519 certificates.'] : []),
  ]
}

function recordOf(
  { facts }: Leaf,
  paths: ResolvedPaths | null,
  { onRenew, onRenewSeconds, pkcs12, keyMode }: IssueRequest,
): CertificateRecord {
  const extra = paths?.extra.map((file): ExtraFile =>
    file.format === 'pkcs12' && pkcs12?.legacy === true ? { ...file, legacy: true } : file,
  )
  return {
    ...facts,
    certPath: paths?.certPath ?? null,
    keyPath: paths?.keyPath ?? null,
    ...(extra === undefined || extra.length === 0 ? {} : { extra }),
    ...(keyMode === undefined ? {} : { keyMode }),
    ...(onRenew === undefined ? {} : { onRenew }),
    ...(onRenewSeconds === undefined ? {} : { onRenewSeconds }),
  }
}
