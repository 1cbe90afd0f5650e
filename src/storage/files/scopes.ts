import { existsSync, lstatSync, statSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { RootlingError } from '../../errors.ts'
import {
  createDirectoryAtomic,
  isLeftover,
  renameAway,
  sweepLeftovers,
  syncDirectory,
  writeFileAtomic,
  type FileContents,
} from '../../files/atomic.ts'
import { hasCode, unwritable } from '../../files/errors.ts'
import { exists } from '../../files/exists.ts'
import { anyText, entriesOf, removeEntries, type Layout } from '../../files/own-entries.ts'
import { makePrivateDirectory } from '../../files/private-directory.ts'
import { readPrivateText, readText } from '../../files/read.ts'
import { stampOf } from '../../files/stamp.ts'
import { readdir, rename } from '../../files/sync-fs.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { toDelete, toMove } from '../../shell-commands.ts'
import { quotedPath, shellWord } from '../../shell-word.ts'
import {
  digestOf,
  inOrder,
  type PublicHalf,
  type RotationPart,
  type ScopeWithKey,
  type StoredScope,
} from '../scopes.ts'
import { isDate, isScopeName, isText } from './stored-values.ts'

export const scopesPath = (state: StateDirectory): string => join(state.path, 'scopes')

/** Returns a text that changes whenever a scope is added, deleted or rotated. */
export const stampOfScopes = (state: StateDirectory): Promise<string> => stampOf(scopesPath(state))

export const scopePath = (state: StateDirectory, name: string): string =>
  join(scopesPath(state), name)
export const rootPath = (state: StateDirectory, name: string): string =>
  join(scopePath(state, name), 'root.pem')
/** The file with the two copies of a hardened root. */
export const rootCopiesPath = (state: StateDirectory, name: string): string =>
  join(scopePath(state, name), copiesFile)

const parts: readonly RotationPart[] = ['.next', '.old']

/**
 * Writes a scope as a unit; `false`: one of that name exists. Call it under the lock. `directory`
 * is the scope's own name, during a rotation with a RotationPart at its end.
 */
export async function createScope(
  state: StateDirectory,
  files: ScopeWithKey,
  directory = files.scope.name,
): Promise<boolean> {
  await makePrivateDirectory(scopesPath(state), state.owner)
  const contents: Record<string, FileContents> = {
    'scope.json': { data: `${JSON.stringify(sealScope(files), null, 2)}\n`, mode: 0o644 },
    'root.pem': { data: files.root, mode: 0o644 },
    ...(files.rootCopies === undefined
      ? {}
      : { [copiesFile]: { data: files.rootCopies, mode: 0o644 } }),
    ...(files.rootCrl === null ? {} : { 'root.crl': { data: files.rootCrl, mode: 0o644 } }),
    ...(files.rootOcsp === undefined ? {} : { 'root.ocsp': { data: files.rootOcsp, mode: 0o644 } }),
    'intermediate.pem': { data: files.intermediate, mode: 0o644 },
    [keyFile]: { data: files.intermediateKey, mode: 0o600, secret: true },
  }
  const path = scopePath(state, directory)
  if (await createDirectoryAtomic(path, contents, state.owner)) return true
  if (holdsScope(path)) return false
  throw new RootlingError(
    'not-ours',
    `${quotedPath(path)} is there already, and it is not a scope.`,
    {
      hint: toMove(path, join(state.path, `${directory}.old`)),
    },
  )
}

/**
 * The files of a scope. `scope.json` is deleted first, since a scope that lacks only its key would
 * look whole, and the root and its copies last: by them, a deletion that was killed finds the root
 * in the trust stores.
 */
const scopeLayout: Layout = {
  files: {
    'scope.json': anyText,
    'intermediate-key.pem': anyText,
    'intermediate.pem': anyText,
    'root.crl': anyText,
    'root.ocsp': anyText,
    'crl-number': anyText,
    'root-openssl.pem': anyText,
    'root.pem': anyText,
  },
}

/** What is written into the directory of the scopes. */
export const scopesLayout: Layout = {
  directory: (name) => (isScopeDirectory(name) || isLeftover(name) ? scopeLayout : undefined),
}

const isScopeDirectory = (name: string): boolean => isScopeName(name.replace(/\.(?:next|old)$/, ''))

/**
 * Deletes a scope's files and its directory; absent is success. Returns the paths of the foreign
 * files in the directory, which stays with them. Call it under the lock. Throws `not-ours` for a
 * symbolic link.
 */
export async function deleteScope(state: StateDirectory, name: string): Promise<readonly string[]> {
  const path = scopePath(state, name)
  refuseLink(path)
  const { foreign } = entriesOf(path, scopeLayout)
  const doomed = foreign.length === 0 ? await renameAway(path) : path
  if (doomed !== null) await removeDirectory(doomed)
  return foreign
}

async function removeDirectory(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return
  const { files } = entriesOf(path, scopeLayout)
  await removeEntries({ files, directories: [path] })
}

/**
 * Throws `not-ours` where the scopes, or one of them, are behind a symbolic link: Rootling deletes
 * nothing there, so their keys would stay.
 */
export async function refuseLinkedScopes(state: StateDirectory): Promise<void> {
  refuseLink(scopesPath(state))
  for (const name of await scopeNames(state)) refuseLink(scopePath(state, name))
}

function refuseLink(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return
  throw new RootlingError(
    'not-ours',
    `${quotedPath(path)} is a symbolic link, so what it leads to is kept.`,
    {
      hint: `Delete that by hand, and then the link: ${toDelete(path)}`,
    },
  )
}

/**
 * Names of the scopes, `local` first, the others in order; none: there is no authority yet. A
 * directory with none of a scope's files in it is not a scope.
 */
export async function scopeNames(state: StateDirectory): Promise<string[]> {
  try {
    const names = (await readdir(scopesPath(state))).filter(
      (name) => isScopeName(name) && holdsScope(scopePath(state, name)),
    )
    return inOrder(names)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw new RootlingError('file-unreadable', `${quotedPath(scopesPath(state))} cannot be read.`, {
      cause: error,
    })
  }
}

function holdsScope(path: string): boolean {
  try {
    return readdirSync(path, { withFileTypes: true }).some(
      (entry) => entry.isFile() && Object.hasOwn(scopeLayout.files ?? {}, entry.name),
    )
  } catch (error) {
    // What cannot be read is reported when its files are.
    return !hasCode(error, 'ENOENT', 'ENOTDIR')
  }
}

/**
 * Reads a scope's certificates and what it may sign. Throws `corrupt-state` when a file is missing
 * or damaged.
 */
export async function readScope(
  state: StateDirectory,
  name: string,
  part: RotationPart | '' = '',
): Promise<PublicHalf> {
  const directory = scopePath(state, name + part)
  const textOf = async (file: string): Promise<string> =>
    (await readText(join(directory, file), 1024 * 1024)) ?? missing(directory, file, name)
  const [json, root, intermediate] = await Promise.all([
    textOf('scope.json'),
    textOf('root.pem'),
    textOf('intermediate.pem'),
  ])
  const parsed = parseScope(json)
  if (parsed?.name !== name) throw damaged(join(directory, 'scope.json'), name)
  const { files, digest: _digest, ...scope } = parsed
  for (const [file, pem] of [
    ['root.pem', root],
    ['intermediate.pem', intermediate],
  ] as const)
    if (files[file] !== digestOf(pem)) throw damaged(join(directory, file), name)
  const half = { scope, root, intermediate, keyDigest: files[keyFile] }
  const digest = files[copiesFile]
  if (digest === undefined) return half
  const rootCopies = await textOf(copiesFile)
  if (digest !== digestOf(rootCopies)) throw damaged(join(directory, copiesFile), name)
  return { ...half, rootCopies }
}

const keyFile = 'intermediate-key.pem'
const copiesFile = 'root-openssl.pem'

/**
 * Reads a scope's signing key, PEM. Throws `loose-key` when others can read the key, and
 * `corrupt-state` when it is not the one that the scope was made with: OpenSSL does not check that
 * both halves of a key match.
 */
export async function readScopeKey(
  state: StateDirectory,
  name: string,
  keyDigest: string,
): Promise<string> {
  const directory = scopePath(state, name)
  const path = join(directory, keyFile)
  const key = (await readPrivateText(path, state.owner)) ?? missing(directory, keyFile, name)
  if (digestOf(key) !== keyDigest) throw damaged(path, name)
  return key
}

/** Reads the root's only CRL, DER. Throws `corrupt-state`. */
export async function readStoredRootCrl(state: StateDirectory, name: string): Promise<Buffer> {
  const path = join(scopePath(state, name), 'root.crl')
  const refuse = (why: string, cause?: unknown): RootlingError =>
    new RootlingError('corrupt-state', `${quotedPath(path)} ${why}.`, {
      hint: 'Restore it from a backup',
      cause,
    })
  let crl: Buffer
  try {
    const { size } = statSync(path)
    if (size > longestRootCrl) throw refuse(`has ${size} octets, far more than were written`)
    crl = readFileSync(path)
  } catch (error) {
    throw error instanceof RootlingError ? error : refuse('cannot be read', error)
  }
  // Loaded only here: most commands read scopes, and few the CRL.
  const { inspectCrl } = await import('../../x509/crl-reader.ts')
  try {
    inspectCrl(crl)
  } catch (error) {
    throw refuse('is damaged', error)
  }
  return crl
}

/** An empty CRL has a few hundred octets: a name, dates and a signature. */
const longestRootCrl = 16 * 1024

/** Reads the root's only OCSP response, DER; `null`: none was made. */
export async function readStoredRootOcsp(
  state: StateDirectory,
  name: string,
): Promise<Buffer | null> {
  const path = join(scopePath(state, name), 'root.ocsp')
  return existsSync(path) ? readFileSync(path) : null
}

/** Deletes what killed commands left, and finishes a switch of scopes. Call it under the lock. */
export async function sweepScopes(state: StateDirectory): Promise<void> {
  await sweepLeftovers(state.path)
  for (const entry of await readdir(scopesPath(state)).catch(() => [])) {
    await sweepLeftovers(join(scopesPath(state), entry))
    if (isLeftover(entry))
      await removeDirectory(join(scopesPath(state), entry)).catch(() => undefined)
    if (entry.endsWith('.old')) await finishSwitch(state, entry.slice(0, -'.old'.length))
  }
}

/** Returns the scopes that unfinished rotations keep beside the others, and which part each is. */
export async function rotationParts(
  state: StateDirectory,
): Promise<{ name: string; part: RotationPart }[]> {
  const entries = await readdir(scopesPath(state)).catch(() => [])
  return entries.flatMap((entry) =>
    parts
      .filter((part) => entry.endsWith(part) && holdsScope(scopePath(state, entry)))
      .map((part) => ({ name: entry.slice(0, -part.length), part })),
  )
}

/** Puts the scope that a rotation made in the old one's place. Call it under the lock. */
export async function switchScope(state: StateDirectory, name: string): Promise<void> {
  const path = scopePath(state, name)
  try {
    await rename(path, `${path}.old`)
    await syncDirectory(scopesPath(state))
  } catch (error) {
    throw unwritable(path, error)
  }
  await finishSwitch(state, name)
}

/**
 * Does the second of the two renames of a switch. After a kill between them, the next command does
 * it.
 */
async function finishSwitch(state: StateDirectory, name: string): Promise<void> {
  const path = scopePath(state, name)
  if ((await exists(path)) || !(await exists(`${path}.next`))) return
  try {
    await rename(`${path}.next`, path)
    await syncDirectory(scopesPath(state))
  } catch (error) {
    throw unwritable(path, error)
  }
}

/**
 * What `scope.json` holds beside the scope, so that a damaged file is found before a certificate is
 * signed with it. It does not stop an attacker, who can write the digests too.
 */
interface Digests {
  /** SHA-256, hex. The key's digest gives nothing of the key away. */
  readonly files: Readonly<Record<'root.pem' | 'intermediate.pem' | typeof keyFile, string>> & {
    /** Absent: the scope is not hardened. */
    readonly [copiesFile]?: string
  }
  /** The digest of all other members as compact JSON. It is the last member. */
  readonly digest: string
}

/** Returns the contents of `scope.json`: the scope and its digests. */
export function sealScope({
  scope,
  root,
  rootCopies,
  intermediate,
  intermediateKey,
}: Omit<ScopeWithKey, 'rootCrl'>): StoredScope & Digests {
  const files = {
    'root.pem': digestOf(root),
    'intermediate.pem': digestOf(intermediate),
    [keyFile]: digestOf(intermediateKey),
    ...(rootCopies === undefined ? {} : { [copiesFile]: digestOf(rootCopies) }),
  }
  return { ...scope, files, digest: digestOf(JSON.stringify({ ...scope, files })) }
}

function parseScope(json: string): (StoredScope & Digests) | null {
  try {
    const value = JSON.parse(json) as StoredScope & Digests
    const { digest, ...rest } = value
    const sound =
      digest === digestOf(JSON.stringify(rest)) &&
      [value.name, value.created, value.issuerName, value.issuerKeyIdentifier].every(isText) &&
      [value.notBefore, value.notAfter, value.rootNotAfter].every(isDate) &&
      (value.use === undefined || ['private', 'clients', 'mail'].includes(value.use)) &&
      isTexts(value.permitted) &&
      (value.constraints === null ||
        (isTexts(value.constraints.dns) && isTexts(value.constraints.ip)))
    return sound ? value : null
  } catch {
    return null
  }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(isText)
}

function missing(directory: string, file: string, name: string): never {
  throw new RootlingError('corrupt-state', `${join(directory, file)} is missing.`, {
    hint: remedy(name),
  })
}

/** A `corrupt-state` error for a scope's file. */
export function damaged(path: string, name: string, cause?: unknown): RootlingError {
  const sentence = `${quotedPath(path)} is damaged.`
  return new RootlingError('corrupt-state', sentence, { hint: remedy(name), cause })
}

function remedy(name: string): string {
  const again = name === 'local' ? 'rootling install' : 'rootling ca permit'
  return `Restore it from a backup, or start anew, which deletes the scope ${name} with its key: rootling ca forget ${shellWord(name)}${process.platform === 'win32' ? ', then ' : '; '}${again}`
}

/**
 * Asks backup programs to leave the keys out (https://bford.info/cachedir/). A tag that something
 * else wrote stays as it is.
 */
export async function markAsCache(state: StateDirectory): Promise<void> {
  const found = await readText(join(state.path, tagFile)).catch(() => 'unreadable')
  if (found !== null && found !== '' && !found.includes(tagRemark)) return
  const data = `Signature: 8a477f597d28d172789f06886806bc55\n${tagRemark}\n`
  await writeFileAtomic(join(state.path, tagFile), { data, mode: 0o644 }, state.owner)
}

const tagFile = 'CACHEDIR.TAG'
const tagRemark = '# Keys of a local development CA: not for backups.'

/** Whether a directory is a state directory, of this or another authority. */
export async function isStateDirectory(path: string): Promise<boolean> {
  if (!existsSync(join(path, 'scopes'))) return false
  return (await readText(join(path, tagFile)).catch(() => null))?.includes(tagRemark) === true
}
