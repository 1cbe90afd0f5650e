import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Socket } from 'node:net'
import { RootlingError, type ErrorCode } from '../errors.ts'
import { parseObject } from './json-object.ts'

/**
 * The version of the protocol, raised when a message changes its meaning. Both sides refuse another
 * version, except for `stop`: this request, and all that comes before a request, never change, so
 * that any release can stop the daemon of any other.
 */
export const protocolVersion = 1
/** The most characters of a line that the daemon reads. */
export const longestLine = 64 * 1024
/**
 * The most characters of a line that a command reads: a status names every certificate that could
 * not be renewed.
 */
export const longestAnswer = 16 * 1024 * 1024

const methods = [
  'status',
  'renew',
  'stop',
  'create-eab-key',
  'reload-proxy',
  'open-dashboard',
] as const
export type Method = (typeof methods)[number]

/** A request. Requests and responses are one JSON object a line. */
export interface ControlRequest {
  readonly version: number
  readonly id: number
  /** A `Method`, if the version is `protocolVersion`. */
  readonly method: string
}

export type ControlResponse =
  | { readonly version: number; readonly id: number; readonly ok: true; readonly result: unknown }
  | {
      readonly version: number
      readonly id: number
      readonly ok: false
      readonly error: {
        readonly code: ErrorCode
        readonly message: string
        readonly hint: string | null
      }
    }

/** Reads a request of any version; `null` when the line is not a request. */
export function parseRequest(line: string): ControlRequest | null {
  const { version, id, method } = parseObject(line) ?? {}
  if (!isInteger(version) || !isInteger(id) || typeof method !== 'string') return null
  return { version, id, method }
}

const isInteger = (value: unknown): value is number => Number.isSafeInteger(value)

/** Returns the method that a request names; `null` when this version has no such method. */
export function methodOf({ method }: ControlRequest): Method | null {
  return methods.find((each) => each === method) ?? null
}

/**
 * Returns the error for a daemon and a command whose versions do not fit; `null` when they can
 * talk.
 */
export function versionMismatch(
  daemon: number,
  command: number,
  method: string,
): RootlingError | null {
  if (daemon === command || method === 'stop') return null
  const sentence = `The daemon is of another release: it speaks version ${daemon} of the control protocol, this command version ${command}.`
  return new RootlingError('connect-failed', sentence, { hint: 'rootling daemon restart' })
}

/** Sends one message as a line. */
export function sendLine(socket: Socket, message: object): void {
  socket.write(`${JSON.stringify(message)}\n`)
}

/**
 * Calls `onLine` with each line. A line of more than `limit` characters ends the connection, so
 * that neither side has to hold more text for the other.
 */
export function readLines(
  socket: Socket,
  onLine: (line: string) => void,
  limit = longestLine,
): void {
  let pending = ''
  socket.setEncoding('utf8')
  socket.on('data', (chunk: string) => {
    pending += chunk
    for (let end = pending.indexOf('\n'); end >= 0; end = pending.indexOf('\n')) {
      const line = pending.slice(0, end)
      pending = pending.slice(end + 1)
      if (line.length > limit) return socket.destroy()
      onLine(line)
      if (socket.destroyed) return socket
    }
    return pending.length > limit ? socket.destroy() : socket
  })
}

/**
 * Makes the proof with which each side shows that it can read the file of the token, which only its
 * owner can. It is needed because Node does not say which user is at the other end of a socket, and
 * cannot restrict access to a Windows pipe.
 */
export function proof(token: string, role: 'client' | 'server', ...nonces: string[]): string {
  return createHmac('sha256', Buffer.from(token, 'hex'))
    .update([role, ...nonces].join(' '))
    .digest('hex')
}

/**
 * Whether a value from the other side is the expected proof; compared in constant time. The lengths
 * are compared in octets, since a letter may take several.
 */
export function isProof(value: unknown, expected: string): boolean {
  if (typeof value !== 'string') return false
  const [given, wanted] = [Buffer.from(value), Buffer.from(expected)]
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}

export const newNonce = (): string => randomBytes(32).toString('hex')

/** Returns a string in the JSON object of a line; `null` when there is no string of this name. */
export function stringMember(line: string, name: string): string | null {
  const value = parseObject(line)?.[name]
  return typeof value === 'string' ? value : null
}

/** Returns the result in a response, or throws the error in it. */
export function resultOf(response: ControlResponse): unknown {
  if (response.ok) return response.result
  const { code, message, hint } = response.error
  throw new RootlingError(code, message, { hint: hint ?? undefined })
}

export function errorResponse(id: number, error: unknown): ControlResponse {
  const known = error instanceof RootlingError ? error : null
  const message = error instanceof Error ? error.message : String(error)
  return {
    version: protocolVersion,
    id,
    ok: false,
    error: { code: known?.code ?? 'internal', message, hint: known?.hint ?? null },
  }
}
