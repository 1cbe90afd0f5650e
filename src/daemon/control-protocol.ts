import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Socket } from 'node:net'
import { RootlingError, type ErrorCode } from '../errors.ts'

/** Raised when a message changes its meaning; both sides refuse another version. */
export const protocolVersion = 1
/** Octets of one line; a status with many failures stays far below. */
export const longestLine = 64 * 1024

const methods = ['status', 'renew', 'stop', 'create-eab-key'] as const
export type Method = (typeof methods)[number]

/** One JSON object a line, in both directions. */
export interface ControlRequest {
  readonly version: number
  readonly id: number
  readonly method: Method
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

/** A request line, or `null` for anything that is none. */
export function parseRequest(line: string): ControlRequest | null {
  try {
    const value = JSON.parse(line) as Partial<ControlRequest> | null
    const sound =
      value?.version === protocolVersion &&
      Number.isSafeInteger(value.id) &&
      methods.some((method) => method === value.method)
    return sound ? (value as ControlRequest) : null
  } catch {
    return null
  }
}

/** Sends one message. */
export function sendLine(socket: Socket, message: object): void {
  socket.write(`${JSON.stringify(message)}\n`)
}

/**
 * Calls back with each line. One that is longer than `longestLine` ends the connection, so that
 * nobody can make either side hold more than that.
 */
export function readLines(socket: Socket, onLine: (line: string) => void): void {
  let pending = ''
  socket.setEncoding('utf8')
  socket.on('data', (chunk: string) => {
    pending += chunk
    for (let end = pending.indexOf('\n'); end >= 0; end = pending.indexOf('\n')) {
      const line = pending.slice(0, end)
      pending = pending.slice(end + 1)
      if (line.length > longestLine) return socket.destroy()
      onLine(line)
      if (socket.destroyed) return socket
    }
    return pending.length > longestLine ? socket.destroy() : socket
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
