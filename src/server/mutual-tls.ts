import { constants, type X509Certificate } from 'node:crypto'
import type { Server, TlsOptions, TLSSocket } from 'node:tls'
import { RootlingError } from '../errors.ts'
import { printable, shortened } from '../printable.ts'
import { altNameParts, purposes, purposesOf, validityOf } from '../x509/parsed-certificate.ts'
import type { Revocation } from '../x509/revocation.ts'
import { shownSubject } from '../x509/shown-subject.ts'
import { formatDate, oneLine } from '../x509/text.ts'
import { createAlertSender, type Alert } from './tls-alert.ts'

/** Why a client is not let in: the sentence for the log, the alert for the client. */
export interface ClientRefusal {
  readonly alert: Alert
  readonly sentence: string
}

/**
 * Returns the revocation of a certificate by its serial number (hex); `null` when it is not
 * revoked. Throws when this cannot be found out.
 */
export type RevocationLookup = (serialNumber: string) => Promise<Revocation | null>

/** The CAs whose certificates let a client in. */
export interface ClientAuthorities {
  /** PEM roots; never the public ones. */
  readonly ca: readonly string[]
  /**
   * The subjects of their intermediates. They tell a client that left out its intermediate from a
   * client of a foreign CA.
   */
  readonly intermediates?: readonly string[] | undefined
}

export interface ClientGateOptions extends ClientAuthorities {
  /** Also lets in clients without a certificate; an invalid certificate is refused all the same. */
  readonly optional?: boolean | undefined
  readonly revocationOf?: RevocationLookup | undefined
  readonly now?: (() => Date) | undefined
}

/** Decides for a TLS server which clients may talk to it (mTLS). */
export interface ClientGate {
  /** The settings that ask clients for certificates, for the authorities of the latest `trust`. */
  readonly tls: Pick<TlsOptions, 'ca' | 'requestCert' | 'rejectUnauthorized' | 'secureOptions'>
  /**
   * Replaces the authorities. They count for TLS contexts that are made from `tls` afterwards; with
   * no authorities every certificate is refused.
   */
  trust(authorities: ClientAuthorities): void
  /**
   * Prepares a server for sending alerts; has to be called before the server listens. A gate can be
   * attached to several servers.
   */
  attach(server: Server): void
  /**
   * Decides about a client straight after the handshake. Returns `null` when the client is let in;
   * otherwise the connection ends with an alert.
   */
  admit(socket: TLSSocket): Promise<ClientRefusal | null>
  /** Decides again before each request: the certificate may have expired or been revoked since. */
  recheck(socket: TLSSocket): Promise<ClientRefusal | null>
}

/**
 * Creates a gate. Throws `no-authority` when `ca` is empty: Node would then trust the clients of
 * every public CA.
 */
export function createClientGate(options: ClientGateOptions): ClientGate {
  if (options.ca.length === 0)
    throw new RootlingError('no-authority', 'There is no CA whose clients could be let in.', {
      hint: 'Name a CA with --client-ca F, or create one: rootling install',
    })
  const sender = createAlertSender()
  let trusted: ClientAuthorities = options
  const forgotten = new Set<string>()

  async function judge(socket: TLSSocket): Promise<ClientRefusal | null> {
    const certificate = socket.getPeerX509Certificate()
    if (certificate === undefined)
      return options.optional === true
        ? null
        : { alert: 'certificateRequired', sentence: 'the client sent no certificate.' }
    if (trusted.ca.length === 0)
      return { alert: 'unknownCa', sentence: 'there is no CA left whose clients could be let in.' }
    if (!socket.authorized) {
      const code = String(socket.authorizationError)
      return explainVerification(code, certificate, trusted.intermediates ?? [])
    }
    // The connection may be older than the latest `trust`, which dropped the issuer.
    if (forgotten.has(certificate.issuer ?? '')) return fromAnotherCa(certificate)
    return judgeCertificate(certificate, options)
  }

  /** Judges a client, and refuses the client when the judging itself fails. */
  async function judgeSafely(socket: TLSSocket): Promise<ClientRefusal | null> {
    try {
      return await judge(socket)
    } catch (error) {
      const why = oneLine(error instanceof Error ? error.message : String(error))
      return { alert: 'internalError', sentence: `the client cannot be judged: ${why}` }
    }
  }

  return {
    get tls() {
      return {
        ca: [...trusted.ca],
        requestCert: true,
        // With `true` Node hangs up without an alert; `admit` refuses clients that are not
        // authorized.
        rejectUnauthorized: false,
        // A resumed session would keep an earlier decision; without tickets none is resumed.
        secureOptions: constants.SSL_OP_NO_TICKET,
      }
    },
    trust(authorities) {
      for (const subject of trusted.intermediates ?? []) forgotten.add(subject)
      for (const subject of authorities.intermediates ?? []) forgotten.delete(subject)
      trusted = authorities
    },
    attach: (server) => sender.attach(server),
    async admit(socket) {
      const refusal = await judgeSafely(socket)
      if (refusal !== null) await sender.refuse(socket, refusal.alert)
      return refusal
    },
    recheck: judgeSafely,
  }
}

/** Checks what OpenSSL does not, and what may change while a connection is open. */
async function judgeCertificate(
  certificate: X509Certificate,
  { revocationOf, now }: ClientGateOptions,
): Promise<ClientRefusal | null> {
  const name = nameOf(certificate)
  const time = now?.() ?? new Date()
  const { notBefore, notAfter } = validityOf(certificate)
  if (time > notAfter) return expired(certificate)
  if (time < notBefore) return notYetValid(certificate)
  // As OpenSSL does: a certificate without the extension passes, one for other purposes does not.
  const permitted = purposesOf(certificate)
  if (permitted.length > 0 && !permitted.includes(purposes.clientAuth))
    return wrongPurpose(certificate)
  const revocation = (await revocationOf?.(certificate.serialNumber)) ?? null
  if (revocation === null) return null
  const { revokedAt, reason } = revocation
  const date = formatDate(new Date(revokedAt))
  const sentence = `the certificate of ${name} was revoked on ${date} (${reason}).`
  return { alert: 'certificateRevoked', sentence }
}

/** Returns the refusal for a verify code of OpenSSL, as Node names it. */
function explainVerification(
  code: string,
  certificate: X509Certificate,
  intermediates: readonly string[],
): ClientRefusal {
  const [name, issuer] = [nameOf(certificate), issuerOf(certificate)]
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return expired(certificate)
    case 'CERT_NOT_YET_VALID':
      return notYetValid(certificate)
    case 'INVALID_PURPOSE':
      return wrongPurpose(certificate)
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return { alert: 'unknownCa', sentence: `the certificate of ${name} is signed by itself.` }
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      if (!intermediates.includes(certificate.issuer ?? '')) return fromAnotherCa(certificate)
      return {
        alert: 'unknownCa',
        sentence:
          `the certificate of ${name} came without the intermediate that issued it, ` +
          `“${issuer}”.`,
      }
    default:
      return {
        alert: 'badCertificate',
        sentence: `the certificate of ${name} does not hold (${code}).`,
      }
  }
}

function fromAnotherCa(certificate: X509Certificate): ClientRefusal {
  const [name, issuer] = [nameOf(certificate), issuerOf(certificate)]
  const sentence = `the certificate of ${name} comes from another CA, “${issuer}”.`
  return { alert: 'unknownCa', sentence }
}

function expired(certificate: X509Certificate): ClientRefusal {
  const end = formatDate(validityOf(certificate).notAfter)
  const whose = `the certificate of ${nameOf(certificate)}, or its issuer's,`
  const sentence = `${whose} has expired: it was valid until ${end}.`
  return { alert: 'certificateExpired', sentence }
}

/** Uses the alert for expired certificates: RFC 8446 §6.2 has one for both ends of the validity. */
function notYetValid(certificate: X509Certificate): ClientRefusal {
  const start = formatDate(validityOf(certificate).notBefore)
  const sentence = `the certificate of ${nameOf(certificate)} is not valid before ${start}.`
  return { alert: 'certificateExpired', sentence }
}

function wrongPurpose(certificate: X509Certificate): ClientRefusal {
  const reason = 'is not for clients (its extKeyUsage lacks clientAuth)'
  const sentence = `the certificate of ${nameOf(certificate)} ${reason}.`
  return { alert: 'unsupportedCertificate', sentence }
}

/** The names of a certificate, or its subject, for a log. */
function nameOf(certificate: X509Certificate): string {
  const names = altNameParts(certificate).map((part) =>
    part.replace(/^(?:email|URI|DNS|IP Address):/, ''),
  )
  return named(names.join(', ') || shownSubject(oneLine(certificate.subject ?? '')))
}

const issuerOf = ({ issuer }: X509Certificate): string => named(shownSubject(oneLine(issuer ?? '')))

const named = (text: string): string => shortened(printable(text, ''), 200) || 'no name'
