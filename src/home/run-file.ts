import { createHash } from 'node:crypto'
import { lstatSync, rmdirSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { RootlingError } from '../errors.ts'
import { writeFileAtomic } from '../files/atomic.ts'
import { makePrivateDirectory } from '../files/private-directory.ts'
import { readPrivateText } from '../files/read.ts'
import { removeFile } from '../files/sync-fs.ts'
import { isFullPath } from '../full-path.ts'
import { toMove } from '../shell-commands.ts'
import type { StateDirectory } from './state-directory.ts'
import { quotedPath } from '../shell-word.ts'

/** How to reach the running daemon; only its owner can read the file. */
export interface RunFile {
  /** A Unix socket's path or a Windows pipe's name. */
  readonly address: string
  /** 32 octets in hex, new at each start. */
  readonly token: string
  readonly pid: number
  /** ISO 8601, UTC. */
  readonly since: string
  /** Where the daemon answers OCSP and CRL requests; `null`: it does not. */
  readonly revocationUrl: string | null
}

/** The name of the lock that a daemon holds as long as it runs. */
export const daemonLock = 'daemon.lock'

const socketName = 'control.sock'

const fileOf = (state: StateDirectory): string => join(state.path, 'daemon-run.json')

/**
 * Reads the run file; `null`: there is none, since no daemon runs, or the file is damaged. After a
 * kill of the daemon, the file stays. Throws `loose-key`.
 */
export async function readRunFile(state: StateDirectory): Promise<RunFile | null> {
  const text = await readPrivateText(fileOf(state), state.owner)
  try {
    const value = JSON.parse(text ?? 'null') as Partial<RunFile> | null
    const sound =
      typeof value?.address === 'string' &&
      /^[0-9a-f]{64}$/.test(value.token ?? '') &&
      Number.isInteger(value.pid)
    return sound ? (value as RunFile) : null
  } catch {
    return null
  }
}

export async function writeRunFile(state: StateDirectory, run: RunFile): Promise<void> {
  const contents = { data: JSON.stringify(run), mode: 0o600, secret: true }
  await writeFileAtomic(fileOf(state), contents, state.owner)
}

/**
 * Removes the run file of this daemon, but not that of another daemon, which may have started in a
 * directory that was made anew.
 */
export async function removeRunFile(state: StateDirectory, { token }: RunFile): Promise<void> {
  const run = await readRunFile(state)
  if (run?.token === token) await removeFile(fileOf(state))
}

/**
 * The most octets of a socket's path, without its final zero, in sockaddr_un of Linux, and of macOS
 * and the BSDs. Node cuts longer paths silently.
 */
const longestPath = process.platform === 'linux' ? 107 : 103

/**
 * Returns a path for the control socket, and makes the directory around it, which only its owner
 * can enter.
 */
export async function socketPath(state: StateDirectory, nonce: string): Promise<string> {
  if (process.platform === 'win32') return `\\\\.\\pipe\\rootling-${nonce}`
  const own = join(state.path, 'run', socketName)
  const path = Buffer.byteLength(own) <= longestPath ? own : shortPath(state, nonce)
  if (Buffer.byteLength(path) > longestPath)
    throw new RootlingError('state-unwritable', `${quotedPath(path)} is too long for a socket.`, {
      hint: 'Set ROOTLING_HOME to a shorter path',
    })
  await makePrivateDirectory(dirname(path), state.owner)
  await refuseOpenDirectory(dirname(path))
  return path
}

/**
 * Returns a short path for the socket: in the user's runtime directory, or where there is none in
 * the directory for temporary files. That one is shared by all users, so the name there holds the
 * nonce: another user who knew the name could make it first, and no daemon would start.
 */
function shortPath(state: StateDirectory, nonce: string): string {
  const uid = process.geteuid?.()
  const runtime = [process.env['XDG_RUNTIME_DIR'] ?? '', `/run/user/${uid}`].find(isOwnDirectory)
  const hash = createHash('sha256').update(state.path).digest('hex').slice(0, 12)
  const directory =
    runtime === undefined
      ? join(tmpdir(), `rootling-${nonce.slice(0, 16)}`)
      : join(runtime, `rootling-${uid}-${hash}`)
  return join(directory, socketName)
}

/** Whether a directory is this user's, and no other can make files in it. */
function isOwnDirectory(path: string): boolean {
  if (!isFullPath(path)) return false
  try {
    const info = lstatSync(path)
    return info.isDirectory() && info.uid === process.geteuid?.() && (info.mode & 0o022) === 0
  } catch {
    return false
  }
}

/**
 * Removes the socket that a killed daemon left behind, since the next daemon's may have another
 * name. Removes the directory around it too, if that is empty then. A socket of another user stays.
 * Call it under the daemon's lock.
 */
export function removeStaleSocket({ address }: RunFile): void {
  if (process.platform === 'win32' || basename(address) !== socketName) return
  const info = lstatSync(address, { throwIfNoEntry: false })
  if (info?.isSocket() !== true || info.uid !== process.geteuid?.()) return
  try {
    unlinkSync(address)
    rmdirSync(dirname(address))
  } catch {
    // Another process removed the socket, or put something beside it.
  }
}

/**
 * Throws `loose-key` for a directory that another user owns or can enter: another user may have
 * made it in a shared directory, or its mode may have been changed.
 */
async function refuseOpenDirectory(directory: string): Promise<void> {
  const info = lstatSync(directory)
  if (info.isDirectory() && info.uid === process.geteuid?.() && (info.mode & 0o077) === 0) return
  const sentence = `${quotedPath(directory)} is not a directory that you alone can enter.`
  throw new RootlingError('loose-key', sentence, {
    hint: toMove(directory, `${directory}.old`),
  })
}
