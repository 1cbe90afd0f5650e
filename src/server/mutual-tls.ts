import { constants, type X509Certificate } from 'node:crypto'
import type { Server, TlsOptions, TLSSocket } from 'node:tls'
import { RootlingError } from '../errors.ts'
import { validityOf } from '../x509/parsed-certificate.ts'
import type { Revocation } from '../x509/revocation.ts'
import { formatDate, oneLine } from './key-pair.ts'
import { createAlertSender, type Alert } from './tls-alert.ts'

/** Why a client is not let in: the sentence for the log, the alert for the client. */
export interface ClientRefusal {
  readonly alert: Alert
  readonly sentence: string
}

/** The revocation of a serial number (hex); `null`: none. Throws when that cannot be told. */
export type RevocationLookup = (serialNumber: string) => Promise<Revocation | null>

/** Whose certificates let a client in. */
export interface ClientAuthorities {
  /** PEM roots; never the public ones. */
  readonly ca: readonly string[]
  /** Subjects of intermediates below them, to tell one that a client left out from a foreign CA. */
  readonly intermediates?: readonly string[] | undefined
}

export interface ClientGateOptions extends ClientAuthorities {
  /** Lets clients without a certificate in too; one that does not hold is refused all the same. */
  readonly optional?: boolean | undefined
  readonly revocationOf?: RevocationLookup | undefined
  readonly now?: (() => Date) | undefined
}

/** Decides for a TLS server which clients may talk to it (mTLS). */
export interface ClientGate {
  /** As of the latest `trust`. */
  readonly tls: Pick<TlsOptions, 'ca' | 'requestCert' | 'rejectUnauthorized' | 'secureOptions'>
  /** Other authorities from now on, for new contexts of `tls`; with none left every certificate is refused. */
  trust(authorities: ClientAuthorities): void
  /** Before the server listens: what is needed to send alerts later. */
  attach(server: Server): void
  /** Straight after the handshake; `null`: let in. Else the connection is ending with an alert already. */
  admit(socket: TLSSocket): Promise<ClientRefusal | null>
  /** Before each request of a connection that was let in: expired or revoked since? */
  recheck(socket: TLSSocket): Promise<ClientRefusal | null>
}

const clientAuth = '1.3.6.1.5.5.7.3.2'

/** Throws `no-authority` when `ca` is empty: Node would then trust every public CA's clients. */
export function createClientGate(options: ClientGateOptions): ClientGate {
  if (options.ca.length === 0)
    throw new RootlingError('no-authority', 'There is no CA whose clients could be let in.', {
      hint: 'rootling install, or --client-ca F',
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
    // Of a connection that is older than the latest `trust`.
    if (forgotten.has(certificate.issuer ?? '')) return fromAnotherCa(certificate)
    return judgeCertificate(certificate, options)
  }

  /** Whatever cannot be judged is refused. */
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
        // With `true` Node hangs up without an alert and without a reason; `admit` lets nobody pass who is not authorized.
        rejectUnauthorized: false,
        // A resumed session would bring the verdict of an earlier day; without tickets there is none.
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

/** What OpenSSL has not looked at, and what changes while a connection stands. */
async function judgeCertificate(
  certificate: X509Certificate,
  { revocationOf, now }: ClientGateOptions,
): Promise<ClientRefusal | null> {
  const name = nameOf(certificate)
  const time = now?.() ?? new Date()
  const { notBefore, notAfter } = validityOf(certificate)
  if (time > notAfter) return expired(certificate)
  if (time < notBefore) return notYetValid(certificate)
  // OpenSSL has refused other purposes by now, but lets a certificate without the extension pass: so does this.
  const usages = certificate.keyUsage as readonly string[] | undefined
  if (usages !== undefined && usages.length > 0 && !usages.includes(clientAuth))
    return wrongPurpose(certificate)
  const revocation = (await revocationOf?.(certificate.serialNumber)) ?? null
  if (revocation === null) return null
  const { revokedAt, reason } = revocation
  return {
    alert: 'certificateRevoked',
    sentence: `the certificate of ${name} was revoked on ${formatDate(new Date(revokedAt))} (${reason}).`,
  }
}

/** OpenSSL's verify codes, as Node names them. */
function explainVerification(
  code: string,
  certificate: X509Certificate,
  intermediates: readonly string[],
): ClientRefusal {
  const name = nameOf(certificate)
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
        sentence: `the certificate of ${name} came without the intermediate that issued it, “${issuerOf(certificate)}”.`,
      }
    default:
      return {
        alert: 'badCertificate',
        sentence: `the certificate of ${name} does not hold (${code}).`,
      }
  }
}

function fromAnotherCa(certificate: X509Certificate): ClientRefusal {
  const sentence = `the certificate of ${nameOf(certificate)} comes from another CA, “${issuerOf(certificate)}”.`
  return { alert: 'unknownCa', sentence }
}

function expired(certificate: X509Certificate): ClientRefusal {
  const end = formatDate(validityOf(certificate).notAfter)
  const sentence = `the certificate of ${nameOf(certificate)}, or its issuer's, has expired: it was valid until ${end}.`
  return { alert: 'certificateExpired', sentence }
}

/** RFC 8446 §6.2 has one alert for both ends of the validity. */
function notYetValid(certificate: X509Certificate): ClientRefusal {
  const start = formatDate(validityOf(certificate).notBefore)
  const sentence = `the certificate of ${nameOf(certificate)} is not valid before ${start}.`
  return { alert: 'certificateExpired', sentence }
}

function wrongPurpose(certificate: X509Certificate): ClientRefusal {
  return {
    alert: 'unsupportedCertificate',
    sentence: `the certificate of ${nameOf(certificate)} is not for clients (its extKeyUsage lacks clientAuth).`,
  }
}

/** Its names, or its subject; strangers chose them, so they are cut short and cannot move the cursor. */
function nameOf({ subjectAltName, subject }: X509Certificate): string {
  const names = subjectAltName?.replaceAll(/\b(?:email|URI|DNS|IP Address):/g, '')
  return printable(names ?? oneLine(subject ?? ''))
}

const issuerOf = ({ issuer }: X509Certificate): string => printable(oneLine(issuer ?? ''))

function printable(text: string): string {
  const stripped = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '')
  return stripped.length > 200 ? `${stripped.slice(0, 200)}…` : stripped || 'no name'
}
