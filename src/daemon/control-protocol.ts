import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Socket } from 'node:net'
import { RootlingError, type ErrorCode } from '../errors.ts'

/**
 * Raised when a message changes its meaning. Both sides refuse another version, but `stop` and what
 * comes before a request stay as they are: any release can end the daemon of any other.
 */
export const protocolVersion = 1
/** Characters of one line that the daemon reads. */
export const longestLine = 64 * 1024
/** Of one that it writes: a status names every certificate that could not be renewed. */
export const longestAnswer = 16 * 1024 * 1024

const methods = ['status', 'renew', 'stop', 'create-eab-key'] as const
export type Method = (typeof methods)[number]

/** One JSON object a line, in both directions. */
export interface ControlRequest {
  readonly version: number
  readonly id: number
  /** A `Method` where the version is ours. */
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

/** A request line of any version, or `null` for anything that is none. */
export function parseRequest(line: string): ControlRequest | null {
  try {
    const value = JSON.parse(line) as Partial<ControlRequest> | null
    const sound =
      Number.isSafeInteger(value?.version) &&
      Number.isSafeInteger(value?.id) &&
      typeof value?.method === 'string'
    return sound ? (value as ControlRequest) : null
  } catch {
    return null
  }
}

/** `null`: a method that this version does not have. */
export function methodOf({ method }: ControlRequest): Method | null {
  return methods.find((each) => each === method) ?? null
}

/** Why these two cannot talk; `null`: they can. */
export function versionMismatch(
  daemon: number,
  command: number,
  method: string,
): RootlingError | null {
  if (daemon === command || method === 'stop') return null
  const sentence = `The daemon is of another release: it speaks version ${daemon} of the control protocol, this command version ${command}.`
  return new RootlingError('connect-failed', sentence, { hint: 'rootling daemon restart' })
}

/** Sends one message. */
export function sendLine(socket: Socket, message: object): void {
  socket.write(`${JSON.stringify(message)}\n`)
}

/**
 * Calls back with each line. One that is longer than `limit` ends the connection, so that nobody
 * can make either side hold more than that.
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
 * Both sides prove that they can read the token's file, which only its owner can: Node tells
 * nobody's identity on a socket, and cannot tighten the access to a Windows pipe.
 */
export function proof(token: string, role: 'client' | 'server', ...nonces: string[]): string {
  return createHmac('sha256', Buffer.from(token, 'hex'))
    .update([role, ...nonces].join(' '))
    .digest('hex')
}

export function isProof(value: unknown, expected: string): boolean {
  if (typeof value !== 'string' || value.length !== expected.length) return false
  return timingSafeEqual(Buffer.from(value), Buffer.from(expected))
}

export const newNonce = (): string => randomBytes(32).toString('hex')

/** A member of a JSON line that is a string; `null`: it is not. */
export function stringMember(line: string, name: string): string | null {
  try {
    const value = (JSON.parse(line) as Record<string, unknown> | null)?.[name]
    return typeof value === 'string' ? value : null
  } catch {
    return null
  }
}

/** The result of a response. Throws the error that it tells of. */
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
