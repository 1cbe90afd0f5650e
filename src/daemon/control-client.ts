import { connect, type Socket } from 'node:net'
import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../paths.ts'
import {
  isProof,
  newNonce,
  proof,
  protocolVersion,
  readLines,
  sendLine,
  stringMember,
  type ControlResponse,
  type Method,
} from './control-protocol.ts'
import { readRunFile, type RunFile } from './run-file.ts'

/**
 * Asks the daemon of a state directory, and returns what it answers; `null`: none is running.
 * Throws the daemon's own error, or `connect-failed` when something else answers.
 */
export async function askDaemon<T>(
  state: StateDirectory,
  method: Method,
  timeoutMilliseconds = 30_000,
): Promise<T | null> {
  const run = await readRunFile(state)
  if (run === null) return null
  const socket = await open(run.address)
  if (socket === null) return null
  try {
    return (await converse(socket, run, method, timeoutMilliseconds)) as T
  } finally {
    socket.destroy()
  }
}

/** `null`: nobody listens, as after a kill. */
async function open(address: string): Promise<Socket | null> {
  const socket = connect(address)
  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve(socket))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') return resolve(null)
      return reject(failed(`The daemon cannot be reached: ${error.code}.`, error))
    })
  })
}

function converse(
  socket: Socket,
  { token }: RunFile,
  method: Method,
  timeoutMilliseconds: number,
): Promise<unknown> {
  const nonce = newNonce()
  let expected: string | null = null
  let proven = false
  return new Promise((resolve, reject) => {
    socket.setTimeout(timeoutMilliseconds, () => socket.destroy())
    socket.on('error', (error) => reject(failed('The daemon broke the connection off.', error)))
    socket.once('close', () => reject(failed('The daemon closed the connection.')))
    readLines(socket, (line) => {
      if (expected === null) {
        const challenge = stringMember(line, 'challenge') ?? ''
        expected = proof(token, 'server', nonce, challenge)
        sendLine(socket, { nonce, proof: proof(token, 'client', challenge, nonce) })
      } else if (!proven) {
        if (!isProof(stringMember(line, 'proof'), expected))
          return reject(failed('What answers is not the daemon of this state directory.'))
        proven = true
        sendLine(socket, { version: protocolVersion, id: 1, method })
      } else settle(line, resolve, reject)
      return undefined
    })
  })
}

function settle(
  line: string,
  resolve: (result: unknown) => void,
  reject: (error: RootlingError) => void,
): void {
  let response: ControlResponse
  try {
    response = JSON.parse(line) as ControlResponse
  } catch (error) {
    return reject(failed('The daemon’s answer makes no sense.', error))
  }
  if (response.ok) return resolve(response.result)
  const { code, message, hint } = response.error
  return reject(new RootlingError(code, message, { hint: hint ?? undefined }))
}

function failed(sentence: string, cause?: unknown): RootlingError {
  return new RootlingError('connect-failed', sentence, { hint: 'rootling daemon restart', cause })
}
