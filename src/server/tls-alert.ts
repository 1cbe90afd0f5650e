import { createCipheriv, createHmac, type CipherGCMTypes } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'
import { lingerUntilRead } from './linger.ts'
import { connectionOf } from './peer.ts'

/** The alerts about a client's certificate (RFC 8446 §6.2). */
const alerts = {
  badCertificate: 42,
  unsupportedCertificate: 43,
  certificateRevoked: 44,
  certificateExpired: 45,
  certificateUnknown: 46,
  unknownCa: 48,
  internalError: 80,
  certificateRequired: 116,
} as const
export type Alert = keyof typeof alerts

export interface AlertSender {
  /**
   * Prepares a server for sending alerts; has to be called before the server listens. A sender can
   * be attached to several servers.
   */
  attach(server: Server): void
  /**
   * Ends a connection with a fatal alert. Call it straight after the handshake, before anything is
   * written. Without TLS 1.3 the connection ends without an alert.
   */
  refuse(socket: TLSSocket, alert: Alert): Promise<void>
}

interface Suite {
  readonly hash: string
  readonly cipher: CipherGCMTypes
  readonly keyLength: number
}

/** The cipher suites of TLS 1.3 (RFC 8446 §B.4) that OpenSSL offers by default. */
const suites: Readonly<Record<string, Suite>> = {
  TLS_AES_128_GCM_SHA256: { hash: 'sha256', cipher: 'aes-128-gcm', keyLength: 16 },
  TLS_AES_256_GCM_SHA384: { hash: 'sha384', cipher: 'aes-256-gcm', keyLength: 32 },
  // node:crypto uses ChaCha20-Poly1305 like GCM, but its types do not know that.
  TLS_CHACHA20_POLY1305_SHA256: {
    hash: 'sha256',
    cipher: 'chacha20-poly1305' as CipherGCMTypes,
    keyLength: 32,
  },
}

/**
 * The number of records sent before the alert: OpenSSL has sent two session tickets by the end of a
 * handshake, whether they are used or not.
 */
const recordsSent = 2

/**
 * Lets a server say why it refuses a client. Node cannot refuse during the handshake, and
 * afterwards it can only hang up (https://github.com/nodejs/node/issues/15531). So the record with
 * the alert is made here, with the connection's own key, and nothing is written after it. If a
 * later OpenSSL sends another number of records, clients read `bad_record_mac` instead: still a
 * refusal, but without its reason.
 */
export function createAlertSender(): AlertSender {
  const secrets = new WeakMap<TLSSocket, Buffer>()
  // The TCP sockets by their addresses. A TLS socket has the addresses of the TCP socket below it.
  const carriers = new Map<string, Socket>()
  return {
    attach(server) {
      server.on('keylog', (line, socket) => {
        const secret = /^SERVER_TRAFFIC_SECRET_0 \S+ (\S+)/.exec(line.toString('latin1'))?.[1]
        if (secret !== undefined) secrets.set(socket, Buffer.from(secret, 'hex'))
      })
      server.on('connection', (carrier: Socket) => {
        const connection = connectionOf(carrier)
        if (connection === null) return
        carriers.set(connection, carrier)
        carrier.once('close', () => carriers.delete(connection))
      })
    },
    async refuse(socket, alert) {
      // Waits for the session tickets, sent in the same turn of the event loop as
      // `secureConnection`.
      await new Promise((resolve) => setImmediate(resolve))
      const secret = secrets.get(socket)
      const suite = suites[socket.getCipher()?.standardName ?? '']
      const carrier = carriers.get(connectionOf(socket) ?? '')
      if (secret === undefined || suite === undefined || carrier === undefined) {
        socket.end()
        lingerUntilRead(socket)
        return
      }
      // Not `end`: Chromium drops a connection that has ended before it reads the alert on it.
      carrier.write(alertRecord(secret, suite, alerts[alert]))
      lingerUntilRead(socket)
    },
  }
}

/**
 * Returns the alert and its type, encrypted as the server's third application record (RFC 8446
 * §5.2).
 */
function alertRecord(secret: Buffer, suite: Suite, description: number): Buffer {
  const fatal = 2
  const alertType = 21
  const plain = Buffer.from([fatal, description, alertType])
  const header = Buffer.from([23, 3, 3, 0, plain.length + 16])
  const nonce = expandLabel(suite.hash, secret, 'iv', 12)
  nonce[11] = (nonce[11] ?? 0) ^ recordsSent
  const key = expandLabel(suite.hash, secret, 'key', suite.keyLength)
  const cipher = createCipheriv(suite.cipher, key, nonce, { authTagLength: 16 })
  cipher.setAAD(header, { plaintextLength: plain.length })
  return Buffer.concat([header, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** Computes HKDF-Expand-Label (RFC 8446 §7.1) with an empty context, for at most one block. */
function expandLabel(hash: string, secret: Buffer, label: string, length: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`)
  const info = Buffer.concat([Buffer.from([0, length, name.length]), name, Buffer.from([0, 1])])
  return createHmac(hash, secret).update(info).digest().subarray(0, length)
}
