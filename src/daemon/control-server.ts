import { chmod, lstat, rm, rmdir } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { RootlingError } from '../errors.ts'
import { unwritable } from '../files/errors.ts'
import { toMove } from '../shell-commands.ts'
import {
  errorResponse,
  isProof,
  methodOf,
  newNonce,
  parseRequest,
  proof,
  protocolVersion,
  readLines,
  sendLine,
  stringMember,
  versionMismatch,
  type ControlResponse,
  type Method,
} from './control-protocol.ts'

export interface ControlServerOptions {
  readonly address: string
  readonly token: string
  /** Answers a request of a command that has proven to be its owner's. */
  readonly handle: (method: Method) => Promise<unknown>
  /**
   * Called when handling a connection's input threw; the connection is closed, and the server goes
   * on.
   */
  readonly onError?: (error: unknown) => void
  /** How long a connection may take to prove that it knows the token; default 10,000. */
  readonly proofMilliseconds?: number
}

export interface ControlServer {
  close(): Promise<void>
}

const mostConnections = 32
const idleMilliseconds = 30_000

/**
 * Listens for the commands of the daemon's owner. Has to be called under the daemon's lock: a
 * socket that is already there then belongs to a daemon that died, and is deleted. Throws
 * `not-ours` for anything but a socket.
 */
export async function startControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const { address } = options
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    socket.setTimeout(idleMilliseconds, () => socket.destroy())
    serve(socket, options)
  })
  server.maxConnections = mostConnections
  if (process.platform !== 'win32') await removeStale(address)
  await listenPrivately(server, address)
  if (process.platform !== 'win32') await chmod(address, 0o600)
  server.on('error', () => undefined)
  return {
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroySoon()
      const late = setTimeout(() => {
        for (const socket of sockets) socket.destroy()
      }, 1_000)
      await closed
      clearTimeout(late)
      // Node has deleted the socket; the directory of the socket was made for it alone.
      if (process.platform !== 'win32') await rmdir(dirname(address)).catch(() => undefined)
    },
  }
}

async function removeStale(address: string): Promise<void> {
  const info = await lstat(address).catch(() => null)
  if (info === null) return
  if (!info.isSocket() || info.uid !== process.geteuid?.())
    throw new RootlingError('not-ours', `${address} is not a socket of the daemon.`, {
      hint: toMove(address, `${address}.old`),
    })
  await rm(address)
}

/** Listens with a umask that gives the socket the right mode from its first moment. */
async function listenPrivately(server: Server, address: string): Promise<void> {
  const before = process.umask(0o177)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(address, resolve)
    })
  } catch (error) {
    throw unwritable(address, error)
  } finally {
    process.umask(before)
  }
}

/**
 * Takes a proof and a request, answers, and ends the connection, so that requests cannot queue up.
 */
function serve(socket: Socket, options: ControlServerOptions): void {
  const { token, handle, onError, proofMilliseconds = 10_000 } = options
  const drop = (error: unknown): void => {
    onError?.(error)
    socket.destroy()
  }
  const challenge = newNonce()
  const deadline = setTimeout(() => socket.destroy(), proofMilliseconds)
  socket.once('close', () => clearTimeout(deadline))
  let lines = 0
  sendLine(socket, { version: protocolVersion, challenge })
  const onLine = (line: string): void => {
    lines += 1
    if (lines > 2) return void socket.destroy()
    if (lines === 2) return void answer(socket, line, handle).catch(drop)
    const nonce = stringMember(line, 'nonce') ?? ''
    const expected = proof(token, 'client', challenge, nonce)
    if (!isProof(stringMember(line, 'proof'), expected)) return void socket.destroy()
    clearTimeout(deadline)
    return sendLine(socket, { proof: proof(token, 'server', nonce, challenge) })
  }
  readLines(socket, (line) => {
    try {
      onLine(line)
    } catch (error) {
      // An exception in the handler of a socket would end the whole daemon.
      drop(error)
    }
  })
}

async function answer(
  socket: Socket,
  line: string,
  handle: ControlServerOptions['handle'],
): Promise<void> {
  const request = parseRequest(line)
  if (request === null) return void socket.destroy()
  const { id, version } = request
  const end = (response: ControlResponse): void => {
    socket.setTimeout(idleMilliseconds)
    sendLine(socket, response)
    socket.end()
  }
  const mismatch = versionMismatch(protocolVersion, version, request.method)
  if (mismatch !== null) return end(errorResponse(id, mismatch))
  const method = methodOf(request)
  if (method === null) return void socket.destroy()
  // The answer gets no time limit: a renewal may take longer than a connection may be idle.
  socket.setTimeout(0)
  try {
    return end({ version: protocolVersion, id, ok: true, result: await handle(method) })
  } catch (error) {
    return end(errorResponse(id, error))
  }
}
