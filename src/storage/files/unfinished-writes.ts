import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import {
  stageFile,
  sweepDead,
  sweepLeftovers,
  writeFileAtomic,
  type StagedFile,
} from '../../files/atomic.ts'
import { RootlingError } from '../../errors.ts'
import { hasCode, unwritable } from '../../files/errors.ts'
import { withLock } from '../../files/lock.ts'
import { isMountPoint } from '../../files/mount-point.ts'
import type { Owner } from '../../files/owner.ts'
import { makePrivateDirectory } from '../../files/private-directory.ts'
import { readPrivateText } from '../../files/read.ts'
import { removeFile } from '../../files/sync-fs.ts'
import { isFullPath } from '../../full-path.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { issueInFiles } from '../issue-again.ts'
import { describeHolder, type CertificateRecord } from '../records.ts'
import { certificatesOf } from './certificates.ts'
import { pendingDirectory, pendingNames, unfinished, type Tell } from './pending.ts'
import { recordIssued } from './record.ts'
import { sweepScopes } from './scopes.ts'
import { isText } from './stored-values.ts'
import { carryOver } from './version.ts'
import { quotedPath } from '../../shell-word.ts'

/** One of several files that only make sense together, such as a certificate and its key. */
export interface OutputFile {
  readonly path: string
  readonly mode: number
  readonly data: string | Buffer
  /** Whether it holds a private key. */
  readonly secret?: boolean
  /** Default: the state directory's owner. */
  readonly owner?: Owner | null
  /**
   * Whose rights decide, under sudo, whether it may be written there; default: those of the state
   * directory's owner. `null`: root's, for a path that was typed on this command line.
   */
  readonly rights?: Owner | null
}

/**
 * A file to write. `base64` is its data, which may be DER. `before` is the hash of the file that is
 * to be replaced; `null`: there is none.
 */
interface PendingFile extends Omit<OutputFile, 'data' | 'rights'> {
  readonly base64: string
  readonly before: string | null
}

interface Pending {
  readonly record: CertificateRecord
  readonly files: readonly PendingFile[]
}

/** The directory of the files of roots for programs, which src/runtimes/ writes. */
export const bundles = 'bundles'

/**
 * Runs `work` under the lock, after carrying over what an older version wrote, and finishing or
 * undoing what an interrupted command left. `tell` is that of `settleInterrupted`. Throws
 * `newer-state`.
 */
export async function exclusively<T>(
  state: StateDirectory,
  work: () => Promise<T>,
  tell?: Tell,
): Promise<T> {
  return withLock(state, async () => {
    await carryOver(state)
    await sweepScopes(state)
    for (const name of await unfinished(state))
      if (pendingNames.test(name)) await finishOrDrop(state, name, tell)
    await sweepLeftovers(pendingDirectory(state))
    // `rootling run` and `env` write there without this lock.
    await sweepDead(join(state.path, bundles))
    return work()
  })
}

/**
 * Records a certificate and writes its files as a unit. Two files cannot be replaced in one step,
 * so one pending file holds all of them first. After a kill, the next command that takes the lock
 * writes them when the certificate was recorded, and drops them when it was not. Call it under the
 * lock.
 */
export async function recordAndWrite(
  state: StateDirectory,
  record: CertificateRecord,
  files: readonly OutputFile[],
): Promise<void> {
  if (files.length === 0) return recordIssued(state, [record])
  const path = join(pendingDirectory(state), `${record.serialNumber}.json`)
  const withBefore = await Promise.all(
    files.map(async ({ data, rights: _rights, ...file }) => ({
      ...file,
      base64: Buffer.from(data).toString('base64'),
      before: await hashOf(file.path),
    })),
  )
  await makePrivateDirectory(pendingDirectory(state), state.owner)
  const pending: Pending = { record, files: withBefore }
  await writeFileAtomic(path, { data: JSON.stringify(pending), mode: 0o600 }, state.owner)
  const staged: StagedFile[] = []
  try {
    for (const { rights = state.owner, owner = state.owner, ...file } of files)
      staged.push(await stageFile(file.path, { ...file, rights }, owner))
    await recordIssued(state, [record])
  } catch (error) {
    for (const file of staged) await file.discard()
    await removeFile(path)
    throw error
  }
  try {
    for (const file of staged) await file.commit()
  } catch (error) {
    // The pending file stays, and the next command finishes the pair. Until then no other file
    // holds the key.
    for (const file of staged) await file.discard()
    throw error
  }
  await removeFile(path)
}

async function finishOrDrop(
  state: StateDirectory,
  name: string,
  tell: Tell | undefined,
): Promise<void> {
  const path = join(pendingDirectory(state), name)
  const pending = parsePending(await readPrivateText(path, state.owner))
  const certificates = certificatesOf(state)
  const recorded = (await certificates.find(basename(name, '.json')))?.certificate
  if (pending === null) {
    if (recorded === undefined) return removeFile(path)
    return giveUp(path, recorded, [`${quotedPath(path)} is damaged. ${mayNotFit(recorded)}`], tell)
  }
  const faults: Unfinished[] = []
  for (const file of pending.files) {
    await sweepLeftovers(dirname(file.path), basename(file.path))
    if (recorded === undefined) continue
    const fault = await finish(state, file)
    if (fault !== null) faults.push(fault)
  }
  // A later command may have written the same files, with a certificate of its own.
  if (recorded === undefined || faults.length === 0) return removeFile(path)
  const newest = await certificates.findByFile(recorded.certPath ?? '')
  if (newest?.certificate.serialNumber !== recorded.serialNumber) return removeFile(path)
  const sentences = faults.map(({ sentence }) => `${sentence} ${mayNotFit(recorded)}`)
  if (faults.every(({ mayPass }) => !mayPass)) return giveUp(path, recorded, sentences, tell)
  for (const sentence of sentences) tell?.(`${sentence} The next command tries again.`)
}

async function giveUp(
  path: string,
  record: CertificateRecord,
  sentences: readonly string[],
  tell: Tell | undefined,
): Promise<void> {
  if (tell === undefined) return
  for (const sentence of sentences)
    tell(`${sentence} To make them anew: ${issueInFiles(record)} --force`)
  await removeFile(path)
}

const mayNotFit = (record: CertificateRecord): string =>
  `A command was interrupted while it wrote the certificate for ${describeHolder(record)}, so ${quotedPath(record.certPath ?? '')} and the files beside it may not fit each other.`

/** Why a file of an interrupted command could not be written. */
interface Unfinished {
  readonly sentence: string
  /** Whether it may be possible later, such as when a full disk has room again. */
  readonly mayPass: boolean
}

/** Writes a file of an interrupted command; `null`: it is there. */
async function finish(state: StateDirectory, pending: PendingFile): Promise<Unfinished | null> {
  const { path, before, owner = state.owner } = pending
  // Under sudo the file is the person's to write, so that it gives nothing to another user.
  if (state.owner !== null && owner?.uid !== state.owner.uid)
    return { sentence: `${quotedPath(path)} would belong to another user.`, mayPass: false }
  const data = Buffer.from(pending.base64, 'base64')
  try {
    const current = await hashOf(path)
    if (current === digest(data)) return null
    if (current !== before && !(await isBeginning(path, data)))
      return {
        sentence: `${quotedPath(path)} was changed by something else since.`,
        mayPass: false,
      }
    await writeFileAtomic(path, { ...pending, data, rights: state.owner }, owner)
    return null
  } catch (error) {
    // A directory that is gone, or a disk that is still full, must not stop the next command.
    if (!(error instanceof RootlingError)) throw error
    return { sentence: error.message, mayPass: !hasCode(error.cause, 'ENOENT', 'ENOTDIR') }
  }
}

/** Whether a file is a beginning of `data`, as a kill leaves one that is written in place. */
async function isBeginning(path: string, data: Buffer): Promise<boolean> {
  if (!isMountPoint(path)) return false
  const contents = readFileSync(path)
  return data.subarray(0, contents.length).equals(contents)
}

/** Parses a pending file; `null`: it is damaged. */
function parsePending(text: string | null): Pending | null {
  try {
    const pending = JSON.parse(text ?? 'null') as Pending
    return isText(pending.record.serialNumber) && pending.files.every(isSound) ? pending : null
  } catch {
    return null
  }
}

const isSound = ({ path, mode, owner, base64, before }: PendingFile): boolean =>
  isText(path) &&
  isFullPath(path) &&
  Number.isInteger(mode) &&
  (mode & ~0o777) === 0 &&
  (owner == null || (Number.isInteger(owner.uid) && Number.isInteger(owner.gid))) &&
  isText(base64) &&
  (before === null || isText(before))

function digest(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

/**
 * Returns the SHA-256 of a file in hex; `null`: nothing is there. Anything but a regular file is
 * not read: reading a FIFO would never end.
 */
async function hashOf(path: string): Promise<string | null> {
  let file: number | undefined
  try {
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    return fstatSync(file).isFile() ? digest(readFileSync(file)) : 'not a regular file'
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return null
    throw unwritable(path, error)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}
