import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { accessSync, constants, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { Scope } from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import { hasCode, unwritable } from '../files/errors.ts'
import { exists } from '../files/exists.ts'
import { mountPointsAmong } from '../files/mount-point.ts'
import { makePrivateDirectory } from '../files/private-directory.ts'
import { readText } from '../files/read.ts'
import { stat } from '../files/sync-fs.ts'
import { fileName, isDeviceName } from '../files/windows-name.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { toMakeDirectory } from '../shell-commands.ts'
import { quotedPath, shellWord } from '../shell-word.ts'
import { inJson, readInventoryOf } from '../storage/files/record.ts'
import { isStateDirectory } from '../storage/files/scopes.ts'
import type { CertificateRecord, ExtraFile } from '../storage/records.ts'
import { fingerprintOf, isIssuedBy } from '../x509/parsed-certificate.ts'
import { keptDirectory } from './kept-directory.ts'
import { isKeyLike } from './key-like.ts'
import { currentCertificates } from './status.ts'

export interface OutputPaths {
  /** Default: the current directory; created when absent. */
  readonly outDir?: string | undefined
  readonly certPath?: string | undefined
  readonly keyPath?: string | undefined
  /** Further formats, each `true` for its usual name or a path. */
  readonly extra?: Readonly<Partial<Record<ExtraFile['format'], string | true>>> | undefined
  /**
   * Where a renewal finds the password of the PKCS #12 file: `true`: in a file that is written beside
   * it; a path: in that file, which exists. Default: nowhere, the password is not kept.
   */
  readonly passwordFile?: string | true | undefined
  /** Which files in the state directory these may be; default: none. */
  readonly inState?: PartOfState
}

/**
 * What may be written to in a state directory besides its own files. `kept`: the directory of
 * `kept.ts`. `beside`: files with the suffix of a certificate or key, directly in the state
 * directory; vite-plugin-mkcert has rootling-mkcert write them to `$CAROOT`.
 */
export type PartOfState = 'kept' | 'beside'

export interface ResolvedPaths {
  readonly certPath: string
  /** `null`: the key is not here, as with a certification request. */
  readonly keyPath: string | null
  readonly extra: readonly ExtraFile[]
}

/**
 * Returns the beginning of the files' names. As with mkcert, the files are `NAME+N.pem` and
 * `NAME+N-key.pem`, where N is the number of further names. Without names, they are named after the
 * first attribute of the subject.
 */
export function fileBase({
  identifiers,
  purpose,
  subject = '',
}: Pick<CertificateRecord, 'identifiers' | 'purpose' | 'subject'>): string {
  const name = identifiers[0]?.value ?? fileNameOf(subject)
  const first = name.replaceAll(':', '_').replaceAll('*', '_wildcard')
  const more = identifiers.length > 1 ? `+${identifiers.length - 1}` : ''
  const last = `${more}${purpose === 'client' ? '-client' : ''}`
  const base = fileName(first.replaceAll('/', '_'))
  if (base.length <= longestBase) return base + last
  const hash = createHash('sha256').update(base).digest('hex').slice(0, 8)
  return `${base.slice(0, longestBase - 9)}-${hash}${last}`
}

/** Returns the value of a subject's first attribute, with nothing but what is plain in file names. */
const fileNameOf = (subject: string): string =>
  (/=((?:[^,\\]|\\.)*)/.exec(subject)?.[1] ?? '')
    .trim()
    .replace(/[^A-Za-z0-9@.-]+/g, '_')
    .replace(/^[.-]+/, '') || 'certificate'

/** In octets. File systems take names of 255; a temporary name adds 35, and the suffixes 22. */
const longestBase = 190

const suffixes: Record<ExtraFile['format'], string> = {
  chain: '-chain.pem',
  der: '.der',
  full: '-full.pem',
  pkcs12: '.p12',
}

/**
 * Returns the absolute paths of the files to write. Creates `outDir`, which the owner of the state
 * directory then owns. Throws `usage` for a path in a state directory, and `state-unwritable`, also
 * where the directory of another path does not exist.
 */
export async function resolvePaths(
  base: string,
  { outDir = '.', certPath, keyPath, extra = {}, passwordFile, inState }: OutputPaths,
  withKey: boolean,
  state: StateDirectory,
): Promise<ResolvedPaths> {
  const named = (name: string, path: string | undefined): string =>
    path === undefined ? resolve(outDir, name) : resolve(path)
  const formats = Object.keys(extra) as ExtraFile['format'][]
  const paths = {
    certPath: named(`${base}.pem`, certPath),
    keyPath: withKey ? named(`${base}-key.pem`, keyPath) : null,
    extra: formats.map((format) => {
      const wanted = extra[format]
      const path = named(base + suffixes[format], wanted === true ? undefined : wanted)
      if (format !== 'pkcs12' || passwordFile === undefined) return { format, path }
      const kept = passwordFile === true ? passwordBeside(path) : resolve(passwordFile)
      return { format, path, passwordFile: kept }
    }),
  }
  // Certificate and key may share one file.
  const all = pathsOf(paths.keyPath === paths.certPath ? { ...paths, keyPath: null } : paths)
  await refuseInState(state, all, inState === undefined ? [] : [inState])
  refuseSame(all)
  // Whatever the umask permits, other users must not be able to replace files in `outDir`.
  await makePrivateDirectory(resolve(outDir), state.owner, 0o755)
  for (const path of all) await refuseUnwritable(path)
  return paths
}

/**
 * Throws for paths that a command was given and must not write to: `usage` for one in a state
 * directory, and for two that lead to one file; `state-unwritable` for one in no directory, and for
 * what is there but is no regular file. Every command calls this, or `resolvePaths`, first. Returns the
 * sentences of `mountWarnings` and `ownerWarnings`.
 */
export async function checkOutputs(
  state: StateDirectory,
  paths: readonly string[],
  parts: readonly PartOfState[] = [],
): Promise<string[]> {
  await refuseInState(state, paths, parts)
  refuseSame(paths)
  for (const path of paths) await refuseUnwritable(path)
  return [...mountWarnings(paths), ...ownerWarnings(state, paths)]
}

/**
 * Returns a sentence where root itself makes files below a directory of another user, to whom they
 * will not belong. Under sudo they belong to the user who typed the command. A mount point keeps its
 * owner.
 */
export function ownerWarnings({ owner }: StateDirectory, paths: readonly string[]): string[] {
  if (owner !== null || process.geteuid?.() !== 0) return []
  const mounted = new Set(mountPointsAmong(paths))
  const byUser = new Map<number, string[]>()
  for (const path of paths) {
    const user = mounted.has(path) ? 0 : userAbove(path)
    if (user !== 0) byUser.set(user, [...(byUser.get(user) ?? []), shellWord(path)])
  }
  return [...byUser].map(
    ([user, files]) =>
      `Root writes below a directory of the user ${user}, and the files belong to root. To give them to that user, which renewals respect: chown ${user} ${files.join(' ')}`,
  )
}

/** Returns the owner of the nearest directory above a path that is not root's; 0: all are root's. */
function userAbove(path: string): number {
  const directory = dirname(path)
  const user = statSync(directory, { throwIfNoEntry: false })?.uid ?? 0
  return user !== 0 || directory === path ? user : userAbove(directory)
}

/**
 * Returns a sentence for each path that is a mount point, which is written in place. Throws
 * `state-unwritable` for one that cannot be written.
 */
export function mountWarnings(paths: readonly string[]): string[] {
  return mountPointsAmong(paths).map((path) => {
    try {
      accessSync(path, constants.W_OK)
    } catch (error) {
      throw unwritable(path, error)
    }
    return `${quotedPath(path)} is mounted by itself and is overwritten in place, so a program may read half of it: mount the directory ${quotedPath(dirname(path))} instead.`
  })
}

function refuseSame(paths: readonly string[]): void {
  const real = paths.map((path) => join(realPath(dirname(path)), basename(path)))
  const same = paths.find((_, i) => real.indexOf(real[i] ?? '') < i)
  if (same === undefined) return
  throw new RootlingError('usage', `${same} is the path of two files.`, {
    hint: 'Name another path for one of them',
  })
}

/** The file in which `issue` keeps the password of a PKCS #12 file, for renewals. */
const passwordBeside = (path: string): string => `${path}.password`

/**
 * Returns the file that keeps the password of a PKCS #12 file; `null`: there is none, or the user
 * keeps it.
 */
export const ownPasswordFile = ({ path, passwordFile }: ExtraFile): string | null =>
  passwordFile === passwordBeside(path) ? passwordFile : null

/** Returns the paths of all files of a certificate. */
export const pathsOf = ({
  certPath,
  keyPath,
  extra = [],
}: Pick<CertificateRecord, 'certPath' | 'keyPath' | 'extra'>): string[] =>
  [certPath, keyPath, ...extra.flatMap((file) => [file.path, ownPasswordFile(file)])].filter(
    (path) => path !== null,
  )

/**
 * Throws `usage` for a path at or below a state directory, of this or another authority, where a
 * file could replace a signing key or the record. Symbolic links in the path are followed, except
 * the last part, which a write replaces.
 */
export async function refuseInState(
  state: StateDirectory,
  paths: readonly string[],
  parts: readonly PartOfState[] = [],
  hint = 'Name a path elsewhere, or run the command in another directory',
): Promise<void> {
  const own = realPath(state.path)
  const kept = parts.includes('kept') ? join(own, keptDirectory) : null
  for (const path of paths) {
    const directory = realPath(dirname(path))
    if (parts.includes('beside') && directory === own && besideName.test(basename(path))) continue
    for (let above = directory; above !== kept; above = dirname(above)) {
      if (above === own || (await isStateDirectory(above)))
        throw new RootlingError(
          'usage',
          `${quotedPath(path)} is in the state directory ${quotedPath(above)}, where only the CA keeps its files.`,
          { hint },
        )
      if (above === dirname(above)) break
    }
  }
}

/** No file of the state directory itself has such a name, except mkcert's rootCA.pem and its key. */
const besideName = /^(?!rootCA)[^.:][^:]*\.(?:pem|crt|cer|key|p12|pfx|der)$/i

/** Returns a path without symbolic links, also where its last directories do not exist yet. */
function realPath(path: string): string {
  try {
    return realpathSync.native(path)
  } catch {
    const above = dirname(path)
    return above === path ? path : join(realPath(above), basename(path))
  }
}

async function refuseUnwritable(path: string): Promise<void> {
  const parent = await stat(dirname(path)).catch((error: unknown) => {
    if (!hasCode(error, 'ENOENT')) throw unwritable(path, error)
    throw new RootlingError(
      'state-unwritable',
      `The directory ${quotedPath(dirname(path))} does not exist.`,
      {
        hint: toMakeDirectory(dirname(path)),
      },
    )
  })
  if (!parent.isDirectory())
    throw new RootlingError('state-unwritable', `${quotedPath(dirname(path))} is not a directory.`)
  if (process.platform === 'win32' && isDeviceName(basename(path)))
    throw new RootlingError(
      'state-unwritable',
      `${quotedPath(path)} is a device of Windows, not a file.`,
      {
        hint: `Name another file: ${shellWord(join(dirname(path), fileName(basename(path))))}`,
      },
    )
  const target = await stat(path).catch(() => null)
  if (target?.isDirectory() === true)
    throw new RootlingError('state-unwritable', `${quotedPath(path)} is a directory.`, {
      hint: 'Name a file, or use --out-dir',
    })
  // A rename would replace /dev/stdout by a file, and reading a FIFO would never end.
  if (target !== null && !target.isFile())
    throw new RootlingError('state-unwritable', `${quotedPath(path)} is not a regular file.`, {
      hint: 'Name a file, or use --out-dir',
    })
}

/**
 * Throws `not-ours` for files that must not be replaced: a certificate that no scope signed, that is
 * not self-signed by this program and that the record does not know as written there, or a key that
 * neither matches the certificate beside it nor was written with one that is gone.
 */
export async function refuseForeign(
  state: StateDirectory,
  { certPath, keyPath }: Pick<ResolvedPaths, 'certPath' | 'keyPath'>,
  scopes: readonly Scope[],
): Promise<void> {
  const cert = await readText(certPath)
  const key = keyPath === null ? null : certPath === keyPath ? cert : await readText(keyPath)
  const existing = cert === null ? null : await ownCertificate(state, cert, certPath, scopes)
  if (key === null || keyPath === null) return
  if (existing === null) {
    if (!(await isLeftKey(state, { certPath, keyPath }, key)))
      throw notOurs(keyPath, 'is not known to hold a key that Rootling wrote')
  } else if (!matches(existing, key))
    throw notOurs(keyPath, 'holds a key that is not of the certificate beside it')
}

async function ownCertificate(
  state: StateDirectory,
  pem: string,
  path: string,
  scopes: readonly Scope[],
): Promise<X509Certificate> {
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(pem)
  } catch {
    throw notOurs(path, 'is not a certificate')
  }
  const ours =
    isSelfSigned(certificate) ||
    scopes.some(({ intermediate }) => isIssuedBy(certificate, intermediate)) ||
    (await isRecorded(state, path, certificate))
  if (!ours) throw notOurs(path, 'is a certificate of another CA')
  return certificate
}

/**
 * Whether a file holds the certificate that was written to it last. Its scope may be gone since, as
 * after `rootling down`.
 */
async function isRecorded(
  state: StateDirectory,
  path: string,
  certificate: X509Certificate,
): Promise<boolean> {
  const { certificates } = await readInventoryOf(state, [`"${inJson(path)}"`])
  const record = certificates.findLast(({ certPath }) => certPath === path)
  return record?.fingerprint === fingerprintOf(certificate)
}

/** Whether a file holds the key that was written with a certificate whose own file is gone. */
export async function isLeftKey(
  state: StateDirectory,
  { certPath, keyPath }: Pick<ResolvedPaths, 'certPath' | 'keyPath'>,
  pem: string | null,
): Promise<boolean> {
  if (keyPath === null) return false
  const { certificates, forgotten } = await readInventoryOf(state, [`"${inJson(keyPath)}"`])
  // A later certificate elsewhere may have been given the same file for its key.
  const record = currentCertificates(certificates).findLast((each) => each.keyPath === keyPath)
  return (
    pem !== null &&
    record?.certPath === certPath &&
    !forgotten.has(record.serialNumber) &&
    isKeyLike(pem, record)
  )
}

/** Whether `signSelfSigned` made a certificate. Node has no subject for one whose subject is empty. */
const isSelfSigned = ({ subject }: { readonly subject?: string }): boolean =>
  subject?.includes('Rootling self-signed certificate') === true

function matches(certificate: X509Certificate, pem: string): boolean {
  // An encrypted key cannot be checked, so it is taken for the key of the certificate beside it.
  if (pem.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----')) return true
  try {
    return certificate.checkPrivateKey(createPrivateKey(pem))
  } catch {
    return false
  }
}

function notOurs(path: string, what: string): RootlingError {
  return new RootlingError('not-ours', `${quotedPath(path)} ${what}, so it was left as it is.`, {
    hint: 'Write elsewhere with --cert-file and --key-file, or replace it with --force',
  })
}

/**
 * Throws `not-ours` where something has the path already. For files that the record does not name.
 */
export async function refuseExisting(path: string, hint: string): Promise<void> {
  if (await exists(path))
    throw new RootlingError(
      'not-ours',
      `${quotedPath(path)} is there already, so it was left as it is.`,
      {
        hint,
      },
    )
}
