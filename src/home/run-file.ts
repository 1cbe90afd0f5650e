import { createHash } from 'node:crypto'
import { lstatSync, rmdirSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import { RootlingError } from '../errors.ts'
import { writeFileAtomic } from '../files/atomic.ts'
import { makePrivateDirectory } from '../files/private-directory.ts'
import { readPrivateText } from '../files/read.ts'
import { removeFile } from '../files/sync-fs.ts'
import { shellWord } from '../shell-word.ts'
import type { StateDirectory } from './state-directory.ts'

/** How to reach the running daemon; only its owner can read the file. */
export interface RunFile {
  /** A Unix socket's path or a Windows pipe's name. */
  readonly address: string
  /** 32 octets in hex, new at each start. */
  readonly token: string
  readonly pid: number
  /** ISO 8601, UTC. */
  readonly since: string
  /** Where it answers OCSP and CRL requests; `null`: it does not. */
  readonly revocationUrl: string | null
}

/** The name of the lock that a daemon holds as long as it runs. */
export const daemonLock = 'daemon.lock'

const fileOf = (state: StateDirectory): string => join(state.path, 'daemon-run.json')

/**
 * `null`: no daemon runs, or the file is damaged; after a kill the file stays. Throws `loose-key`.
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
  await writeFileAtomic(fileOf(state), { data: JSON.stringify(run), mode: 0o600 }, state.owner)
}

/**
 * Removes the file of this daemon, but not that of another one in a directory that was made anew.
 */
export async function removeRunFile(state: StateDirectory, { token }: RunFile): Promise<void> {
  const run = await readRunFile(state)
  if (run?.token === token) await removeFile(fileOf(state))
}

/**
 * Octets of a socket's path without its final zero (sockaddr_un of Linux, and of macOS and the
 * BSDs): Node cuts longer ones silently.
 */
const longestPath = process.platform === 'linux' ? 107 : 103

/** A path for the control socket in a directory that only its owner can enter, made here. */
export async function socketPath(state: StateDirectory, nonce: string): Promise<string> {
  if (process.platform === 'win32') return `\\\\.\\pipe\\rootling-${nonce}`
  const own = join(state.path, 'run', 'control.sock')
  const path = Buffer.byteLength(own) <= longestPath ? own : shortPath(state, nonce)
  if (Buffer.byteLength(path) > longestPath)
    throw new RootlingError('state-unwritable', `${path} is too long for a socket.`, {
      hint: 'Set ROOTLING_HOME to a shorter path',
    })
  await makePrivateDirectory(dirname(path), state.owner)
  await refuseOpenDirectory(dirname(path))
  return path
}

/**
 * In the user's runtime directory where there is one. In a directory that all users share the name
 * holds the nonce: another user who knew it could make it first, and no daemon would start.
 */
function shortPath(state: StateDirectory, nonce: string): string {
  const uid = process.geteuid?.()
  const runtime = [process.env['XDG_RUNTIME_DIR'] ?? '', `/run/user/${uid}`].find(isOwnDirectory)
  const hash = createHash('sha256').update(state.path).digest('hex').slice(0, 12)
  const directory =
    runtime === undefined
      ? join(tmpdir(), `rootling-${nonce.slice(0, 16)}`)
      : join(runtime, `rootling-${uid}-${hash}`)
  return join(directory, 'control.sock')
}

/** Whether a directory is this user's, and no other can make files in it. */
function isOwnDirectory(path: string): boolean {
  if (!isAbsolute(path)) return false
  try {
    const info = lstatSync(path)
    return info.isDirectory() && info.uid === process.geteuid?.() && (info.mode & 0o022) === 0
  } catch {
    return false
  }
}

/**
 * Removes the socket that a killed daemon left behind, and its directory: the next one may have
 * another name. Call it under the daemon's lock. Only a socket of this user goes, and a directory
 * that it leaves empty.
 */
export function removeStaleSocket({ address }: RunFile): void {
  if (process.platform === 'win32') return
  const info = lstatSync(address, { throwIfNoEntry: false })
  if (info?.isSocket() !== true || info.uid !== process.geteuid?.()) return
  try {
    unlinkSync(address)
    rmdirSync(dirname(address))
  } catch {
    // Somebody else took it away, or put something beside it.
  }
}

/** Another user may have made it in a shared directory, or its mode may have been changed. */
async function refuseOpenDirectory(directory: string): Promise<void> {
  const info = lstatSync(directory)
  if (info.isDirectory() && info.uid === process.geteuid?.() && (info.mode & 0o077) === 0) return
  const sentence = `${directory} is not a directory that you alone can enter.`
  throw new RootlingError('loose-key', sentence, { hint: `rm -rf ${shellWord(directory)}` })
}
