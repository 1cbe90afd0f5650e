import { connect, type Socket } from 'node:net'
import { RootlingError, type RootlingErrorOptions } from '../errors.ts'
import { readRunFile, type RunFile } from '../home/run-file.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import {
  isProof,
  longestAnswer,
  newNonce,
  proof,
  protocolVersion,
  readLines,
  resultOf,
  sendLine,
  stringMember,
  versionMismatch,
  type ControlResponse,
  type Method,
} from './control-protocol.ts'
import { parseObject } from './json-object.ts'

/**
 * Sends a request to the daemon of a state directory, and returns the result; `null` when no daemon
 * is running. Throws the daemon's own error, or `connect-failed` when something else answers.
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

/** Connects to the daemon; `null` when nothing listens there, as after a kill. */
async function open(address: string): Promise<Socket | null> {
  const socket = connect(address)
  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve(socket))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') return resolve(null)
      return reject(failed(`The daemon cannot be reached: ${error.code}.`, { cause: error }))
    })
  })
}

function converse(
  socket: Socket,
  { token, pid }: RunFile,
  method: Method,
  timeoutMilliseconds: number,
): Promise<unknown> {
  const nonce = newNonce()
  let expected: string | null = null
  let proven = false
  const next = (line: string): unknown => {
    if (expected === null) {
      const hello = parseHello(line)
      const mismatch = versionMismatch(hello.version, protocolVersion, method)
      if (mismatch !== null) throw mismatch
      expected = proof(token, 'server', nonce, hello.challenge)
      sendLine(socket, { nonce, proof: proof(token, 'client', hello.challenge, nonce) })
    } else if (!proven) {
      if (!isProof(stringMember(line, 'proof'), expected)) throw stranger()
      proven = true
      sendLine(socket, { version: protocolVersion, id: 1, method })
    } else return resultOf(parseResponse(line))
    return unfinished
  }
  return new Promise((resolve, reject) => {
    socket.setTimeout(timeoutMilliseconds, () => {
      const seconds = timeoutMilliseconds / 1000
      const hint = `Is it stopped or stuck? kill -9 ${pid}`
      reject(failed(`The daemon (pid ${pid}) gave no answer in ${seconds} s.`, { hint }))
    })
    socket.on('error', (cause) =>
      reject(failed('The connection to the daemon broke off.', { cause })),
    )
    socket.once('close', () => reject(failed('The daemon closed the connection.')))
    const onLine = (line: string): void => {
      try {
        const result = next(line)
        if (result !== unfinished) resolve(result)
      } catch (error) {
        reject(error)
      }
    }
    readLines(socket, onLine, longestAnswer)
  })
}

const unfinished = Symbol('unfinished')

function parseHello(line: string): { version: number; challenge: string } {
  const { version, challenge } = parseObject(line) ?? {}
  if (typeof version !== 'number' || typeof challenge !== 'string') throw stranger()
  return { version, challenge }
}

function parseResponse(line: string): ControlResponse {
  const response = parseObject(line)
  if (typeof response?.['ok'] === 'boolean') return response as unknown as ControlResponse
  throw failed('The daemon’s answer cannot be understood.')
}

const stranger = (): RootlingError =>
  failed('What answers is not the daemon of this state directory.')

function failed(sentence: string, options: RootlingErrorOptions = {}): RootlingError {
  return new RootlingError('connect-failed', sentence, {
    hint: 'rootling daemon restart',
    ...options,
  })
}
