import { lstat, rm } from 'node:fs/promises'
import { createServer, request as ask } from 'node:http'
import { connect } from 'node:net'
import { basename, dirname } from 'node:path'
import { RootlingError } from '../errors.ts'
import { unwritable } from '../files/errors.ts'
import { withLock } from '../files/lock.ts'
import { quotedPath } from '../shell-word.ts'
import {
  answerAdmin,
  readAdminAnswer,
  type Administrator,
  type AdminHandler,
  type Parameters,
} from './admin-requests.ts'

export interface AdminSocket {
  close(): Promise<void>
}

/** Whoever opens the socket is the user of the server, or root. */
const local: Administrator = { actor: 'administrator by the socket', isLocal: true }

/**
 * Listens at a path for the administrator, while it holds the kernel lock `PATH.lock`: of two servers that
 * start at once, only one looks what is at the path and takes it. Calls `onError` with what the handler throws beside a
 * RootlingError. Throws `port-in-use` where another server listens there,
 * `not-ours` where there is something else than a socket of this user, `loose-key` for a directory in which
 * others can write, and `state-unwritable`.
 */
export async function openAdminSocket(
  path: string,
  handler: AdminHandler,
  onError: (error: unknown) => void,
): Promise<AdminSocket> {
  const release = await lockPath(path)
  try {
    const close = await listenAt(path, handler, onError)
    return {
      async close() {
        await close()
        await release()
      },
    }
  } catch (error) {
    await release()
    throw error
  }
}

/** Takes the lock of a path, and returns what gives it back. */
async function lockPath(path: string): Promise<() => Promise<void>> {
  const directory = { path: dirname(path), owner: null }
  const lock = { name: `${basename(path)}.lock`, waitMilliseconds: 0 }
  let release = (): void => undefined
  let held: Promise<void> = Promise.resolve()
  const released = new Promise<void>((resolve) => (release = resolve))
  try {
    await new Promise<void>((resolve, reject) => {
      held = withLock(
        directory,
        () => {
          resolve()
          return released
        },
        lock,
      )
      held.catch(reject)
    })
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    if (error.code === 'locked') throw inUse(path, error)
    if (error.code !== 'loose-key') throw error
    throw new RootlingError(
      'loose-key',
      `Another user could replace what is in ${quotedPath(directory.path)}, the directory of the socket.`,
      { hint: 'Name one in a directory of this user alone: --socket PATH', cause: error },
    )
  }
  return () => {
    release()
    return held
  }
}

/** Returns what closes the server, and with it deletes the socket. */
async function listenAt(
  path: string,
  handler: AdminHandler,
  onError: (error: unknown) => void,
): Promise<() => Promise<void>> {
  await removeStale(path)
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
    answerAdmin(request, response, local, handler).catch(onError)
  })
  server.maxConnections = 16
  // The socket has its mode from its first moment.
  const before = process.umask(0o177)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(path, resolve)
    })
  } catch (error) {
    throw unwritable(path, error)
  } finally {
    process.umask(before)
  }
  server.on('error', () => undefined)
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
}

const inUse = (path: string, cause?: unknown): RootlingError =>
  new RootlingError('port-in-use', `A server listens at ${quotedPath(path)} already.`, {
    hint: 'Stop it, or name another path: --socket PATH',
    cause,
  })

async function removeStale(path: string): Promise<void> {
  const info = await lstat(path).catch(() => null)
  if (info === null) return
  if (!info.isSocket() || info.uid !== process.geteuid?.())
    throw new RootlingError('not-ours', `${quotedPath(path)} is not a socket of this user.`, {
      hint: 'Name another path: --socket PATH',
    })
  // One of the version before this holds no lock.
  if (await isAnswered(path)) throw inUse(path)
  await rm(path)
}

const isAnswered = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })

/**
 * Asks the server that listens at a path. Throws `connect-failed` where none does, and the error of the
 * server.
 */
export async function askAdmin(
  path: string,
  method: string,
  parameters: Parameters = {},
): Promise<unknown> {
  const { body, status } = await post(path, method, parameters)
  return readAdminAnswer(status, body)
}

function post(
  socketPath: string,
  method: string,
  parameters: Parameters,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = ask({ socketPath, method: 'POST', path: `/${method}`, timeout: 30_000 })
    request.once('response', (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => (body += text))
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.once('error', reject)
    })
    request.once('timeout', () => request.destroy(new Error('no answer in 30 s')))
    request.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new RootlingError(
          'connect-failed',
          `No server listens at ${quotedPath(socketPath)}: ${cause.code ?? cause.message}.`,
          {
            hint: 'Start it, or name its socket and be its user: --socket PATH',
            cause,
          },
        ),
      ),
    )
    request.end(JSON.stringify(parameters))
  })
}
