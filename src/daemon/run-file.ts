import { createHash } from 'node:crypto'
import { lstat, mkdir, rm } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../paths.ts'
import { makePrivateDirectory, readPrivateText, writeFileAtomic } from '../storage/files.ts'

/** Where a running daemon is to be reached; the file is readable by its owner alone. */
export interface RunFile {
  /** A Unix socket's path or a Windows pipe's name. */
  readonly address: string
  /** 32 octets in hex, new at each start. */
  readonly token: string
  readonly pid: number
  /** ISO 8601, UTC. */
  readonly since: string
}

const fileOf = (state: StateDirectory): string => join(state.path, 'daemon-run.json')

/** `null`: no daemon has run since the last orderly stop. */
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

export async function removeRunFile(state: StateDirectory): Promise<void> {
  await rm(fileOf(state), { force: true })
}

/** Octets of a socket's path without its final zero (sockaddr_un): Node cuts longer ones silently. */
const longestPath = 107

/** A path for the control socket in a directory that only its owner can enter. */
export async function socketPath(state: StateDirectory, nonce: string): Promise<string> {
  if (process.platform === 'win32') return `\\\\.\\pipe\\rootling-${nonce}`
  const own = join(state.path, 'run', 'control.sock')
  if (Buffer.byteLength(own) <= longestPath) {
    await makePrivateDirectory(dirname(own), state.owner)
    return own
  }
  const hash = createHash('sha256').update(state.path).digest('hex').slice(0, 12)
  const { uid } = userInfo()
  const directory = join(process.env['XDG_RUNTIME_DIR'] ?? tmpdir(), `rootling-${uid}-${hash}`)
  await mkdir(directory, { mode: 0o700 }).catch(() => undefined)
  // In a directory that all can write to, somebody else may have made it first.
  const info = await lstat(directory)
  if (!info.isDirectory() || info.uid !== uid || (info.mode & 0o077) !== 0)
    throw new RootlingError(
      'loose-key',
      `${directory} belongs to another user or is open to others.`,
      {
        hint: 'Delete it, or set ROOTLING_HOME to a shorter path',
      },
    )
  const path = join(directory, 'control.sock')
  if (Buffer.byteLength(path) <= longestPath) return path
  throw new RootlingError('state-unwritable', `${path} is too long for a socket.`, {
    hint: 'Set ROOTLING_HOME to a shorter path',
  })
}
