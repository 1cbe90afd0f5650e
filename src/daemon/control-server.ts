import { chmod, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { unwritable } from '../storage/files.ts'
import {
  errorResponse,
  isProof,
  newNonce,
  parseRequest,
  proof,
  protocolVersion,
  readLines,
  sendLine,
  stringMember,
  type Method,
} from './control-protocol.ts'

export interface ControlServerOptions {
  readonly address: string
  readonly token: string
  /** Answers a request of somebody who has proven to be the owner. */
  readonly handle: (method: Method) => Promise<unknown>
}

export interface ControlServer {
  close(): Promise<void>
}

const mostConnections = 32
/** For the proof, and between two requests. */
const idleMilliseconds = 30_000

/**
 * Listens for its owner's commands. Only for whoever holds the daemon's lock: a socket that is
 * there belongs to a daemon that died, and is taken away.
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
  const isFile = process.platform !== 'win32'
  if (isFile) await rm(address, { force: true })
  await listenPrivately(server, address)
  if (isFile) await chmod(address, 0o600)
  return {
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroySoon()
      await closed
      if (isFile) await rm(address, { force: true })
    },
  }
}

/** The socket's mode follows the umask, and is to be right from its first moment. */
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

function serve(socket: Socket, { token, handle }: ControlServerOptions): void {
  const challenge = newNonce()
  let proven = false
  sendLine(socket, { version: protocolVersion, challenge })
  readLines(socket, (line) => {
    if (proven) return void answer(socket, line, handle)
    const nonce = stringMember(line, 'nonce') ?? ''
    const expected = proof(token, 'client', challenge, nonce)
    if (!isProof(stringMember(line, 'proof'), expected)) return void socket.destroy()
    proven = true
    return sendLine(socket, { proof: proof(token, 'server', nonce, challenge) })
  })
}

async function answer(
  socket: Socket,
  line: string,
  handle: ControlServerOptions['handle'],
): Promise<void> {
  const request = parseRequest(line)
  if (request === null) {
    socket.destroy()
    return
  }
  const { id, method } = request
  try {
    sendLine(socket, { version: protocolVersion, id, ok: true, result: await handle(method) })
  } catch (error) {
    sendLine(socket, errorResponse(id, error))
  }
}
