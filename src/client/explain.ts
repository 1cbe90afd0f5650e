import type { X509Certificate } from 'node:crypto'
import { connect } from 'node:net'
import { RootlingError } from '../errors.ts'
import { altNames, lookAtPeer } from './peer.ts'
import { resolveLocally, type Target } from './target.ts'

type NodeError = NodeJS.ErrnoException & { secured?: boolean }

export interface Circumstances {
  /** Whether the client had a certificate to send. */
  readonly sentCertificate: boolean
  readonly now: Date
}

const lookMilliseconds = 2_000

/** Turns what Node and OpenSSL say into one sentence: which check failed, and what to type next. */
export async function explainFailure(
  error: NodeError,
  target: Target,
  circumstances: Circumstances,
): Promise<RootlingError> {
  return (
    (await explainCertificate(error, target, circumstances)) ??
    explainAlert(error, target, circumstances) ??
    (await explainConnection(error, target))
  )
}

async function explainCertificate(
  error: NodeError,
  target: Target,
  circumstances: Circumstances,
): Promise<RootlingError | null> {
  const code = error.code ?? ''
  if (!isCertificateError(error)) return null
  const { host } = target
  const look = await lookAtPeer(target, lookMilliseconds)
  const chain = look ?? []
  const leaf = chain[0]
  const refuse = (sentence: string, hint: string): RootlingError =>
    new RootlingError('not-trusted', `${sentence}.`, { hint, cause: error })
  const issue = `rootling issue ${host}`

  switch (code) {
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return refuse(
        `Wrong host: the certificate is for ${altNames(leaf).join(', ') || 'no host at all'}, not for ${host}`,
        issue,
      )
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return refuse(validitySentence(code, chain, circumstances.now), issue)
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return refuse(selfSignedSentence(host), `${issue}, or --cacert with that certificate`)
    case 'SELF_SIGNED_CERT_IN_CHAIN':
      return refuse(
        `Unknown issuer: the chain of ${host} ends at “${issuerName(chain.at(-1))}”, which is not a root that this client trusts`,
        'rootling install, or --cacert with that root',
      )
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_GET_ISSUER_CERT':
      return refuse(unknownIssuerSentence(host, chain), unknownIssuerHint(chain))
    case 'INVALID_CA':
    case 'INVALID_PURPOSE':
      return refuse(purposeSentence(host, chain), issue)
    case 'CERT_REVOKED':
      return refuse(`Revoked: the issuer has revoked the certificate of ${host}`, issue)
    default:
      break
  }
  if (/permitted subtree|excluded subtree/.test(error.message)) {
    return refuse(
      `Name constraint violated: a CA in the chain may not issue for ${altNames(leaf).join(', ') || host} (${error.message})`,
      'rootling ca list',
    )
  }
  return refuse(`The certificate of ${host} is refused: ${error.message}`, issue)
}

/** The verify codes of OpenSSL that Node knows by name; it calls every other one UNSPECIFIED. */
function isCertificateError(error: NodeError): boolean {
  return (
    /^(?:CERT_|UNABLE_TO_|ERR_TLS_CERT_|INVALID_CA$|INVALID_PURPOSE$|UNSPECIFIED$|PATH_LENGTH_|HOSTNAME_MISMATCH$)/.test(
      error.code ?? '',
    ) || /SELF_SIGNED_CERT/.test(error.code ?? '')
  )
}

function validitySentence(code: string, chain: readonly X509Certificate[], now: Date): string {
  const expired = code === 'CERT_HAS_EXPIRED'
  const culprit =
    chain.find((certificate) =>
      expired ? new Date(certificate.validTo) < now : new Date(certificate.validFrom) > now,
    ) ?? chain[0]
  const whose =
    culprit === undefined || culprit === chain[0]
      ? 'the certificate'
      : `“${subjectName(culprit)}”, a certificate in the chain,`
  if (culprit === undefined) return expired ? 'Expired' : 'Not yet valid'
  return expired
    ? `Expired: ${whose} was valid until ${minutes(culprit.validTo)}`
    : `Not yet valid: ${whose} is valid from ${minutes(culprit.validFrom)}, later than this machine's clock`
}

function selfSignedSentence(host: string): string {
  return `Self-signed: the certificate of ${host} is signed by itself, not by a root that this client trusts`
}

/** OpenSSL says “unsuitable purpose” of leaves, of issuers that are no CA, and of a CA that serves itself. */
function purposeSentence(host: string, chain: readonly X509Certificate[]): string {
  const [leaf, ...issuers] = chain
  if (issuers.some((issuer) => !issuer.ca))
    return `Not a CA: a certificate in the chain of ${host} signed another without being allowed to`
  if (leaf !== undefined && leaf.issuer === leaf.subject) return selfSignedSentence(host)
  return `Wrong purpose: the certificate of ${host} is not for servers`
}

/** One certificate alone may be a forgotten intermediate; of several, the last one names a stranger. */
function unknownIssuerSentence(host: string, chain: readonly X509Certificate[]): string {
  const last = chain.at(-1)
  const issuer = issuerName(last)
  return chain.length > 1
    ? `Unknown issuer: the chain of ${host} leads to “${issuer}”, which is not a root that this client trusts`
    : `Unknown issuer: ${host} sent one certificate only, and this client does not know its issuer “${issuer}”; the server may have left out the intermediate`
}

function unknownIssuerHint(chain: readonly X509Certificate[]): string {
  return chain.length > 1
    ? 'rootling install, or --cacert with that root'
    : 'let the server send its whole chain, or --cacert with the root'
}

/** What a server says of a client's certificate with its alert (RFC 8446 §6.2). */
const verdicts: Readonly<Record<string, string>> = {
  UNKNOWN_CA: 'does not know the CA that issued it, or got it without its intermediate',
  CERTIFICATE_EXPIRED: 'says that it is out of its dates',
  CERTIFICATE_REVOKED: 'says that it was revoked',
  UNSUPPORTED_CERTIFICATE: 'says that it is not for clients',
  BAD_CERTIFICATE: 'does not accept it (bad certificate)',
  CERTIFICATE_UNKNOWN: 'does not accept it (certificate unknown)',
  ACCESS_DENIED: 'knows it and does not let it in (access denied)',
}

/** The server refused us: with an alert, or by only hanging up. */
function explainAlert(
  error: NodeError,
  target: Target,
  circumstances: Circumstances,
): RootlingError | null {
  const { host } = target.url
  const code = error.code ?? ''
  const reason = openSslReason(error)
  const sent = circumstances.sentCertificate
  const refused = (sentence: string): RootlingError =>
    new RootlingError('not-trusted', sentence, {
      hint: sent
        ? 'rootling issue --client NAME makes a new one; the log of the server says more'
        : '--client-cert F --client-key F; rootling issue --client NAME makes them',
      cause: error,
    })
  if (reason.endsWith('ALERT_CERTIFICATE_REQUIRED'))
    return refused(`Client certificate required: ${host} wants one and got none.`)
  const alert = /ALERT_(\w+)$/.exec(reason)?.[1] ?? ''
  const verdict = verdicts[alert]
  if (verdict !== undefined) {
    return refused(
      sent
        ? `Client certificate refused: ${host} ${verdict}.`
        : `Client certificate required: ${host} refused the handshake (${alert.toLowerCase().replaceAll('_', ' ')}).`,
    )
  }
  const hungUp = code === 'ECONNRESET' || code === 'EPIPE'
  if (error.secured === true && hungUp) {
    return refused(
      sent
        ? `Client certificate refused: ${host} hung up after the handshake, probably because it does not accept it.`
        : `Client certificate required: ${host} hung up after the handshake, as servers do that want one.`,
    )
  }
  return null
}

async function explainConnection(error: NodeError, target: Target): Promise<RootlingError> {
  const { host, port, url } = target
  const where = `${url.hostname}:${port}`
  const fail = (sentence: string, hint?: string): RootlingError =>
    new RootlingError('connect-failed', sentence, { hint, cause: error })
  const code = error.code ?? ''
  switch (code) {
    case 'ECONNREFUSED':
      return fail(`Nothing listens on ${where}.`, `rootling serve ${host} --port ${port}`)
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EAI_NODATA':
      return fail(
        `The name ${host} has no address.`,
        `use ${host.split('.')[0]}.localhost, or add ${host} to the hosts file`,
      )
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return fail(`${where} cannot be reached (${code}).`)
    default:
      break
  }
  const reason = openSslReason(error)
  if (
    /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|BAD_PROTOCOL_VERSION|HTTP_REQUEST/.test(reason)
  ) {
    return (await speaksPlainHttp(host, port))
      ? fail(
          `${where} spoke plain HTTP, not TLS.`,
          `open http://${url.host}${url.pathname}, or rootling serve`,
        )
      : fail(`${where} does not speak TLS.`)
  }
  if (/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/.test(reason))
    return fail(`${where} and this client have no TLS version in common (1.2 or 1.3 here).`)
  if (reason.endsWith('NO_APPLICATION_PROTOCOL')) return fail(`${where} does not offer HTTP/1.1.`)
  if (reason.endsWith('ALERT_HANDSHAKE_FAILURE')) {
    return fail(
      `${where} refused the handshake: no cipher or group in common, or it wants a client certificate.`,
      'curl -v, or --client-cert F --client-key F',
    )
  }
  if (code.startsWith('HPE_')) return fail(`${where} answered with something that is not HTTP.`)
  if (code === 'ECONNRESET') return fail(`${where} closed the connection before it was secured.`)
  return fail(
    `Cannot get ${url.href}: ${reason === '' ? error.message : reason.toLowerCase().replaceAll('_', ' ')}.`,
  )
}

/**
 * `WRONG_VERSION_NUMBER`, from `ERR_SSL_WRONG_VERSION_NUMBER`; or from the message of `EPROTO`, which is what Node
 * makes of any failure before the handshake has ended.
 */
function openSslReason(error: NodeError): string {
  if (error.code?.startsWith('ERR_SSL_')) return error.code.slice('ERR_SSL_'.length)
  const reason = /:SSL routines:[^:]*:([^:]+):/.exec(error.message)?.[1] ?? ''
  return reason.toUpperCase().replaceAll(' ', '_')
}

/** Asks once without TLS; the reply of an HTTP server to that cannot be mistaken. */
function speaksPlainHttp(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, lookup: resolveLocally, autoSelectFamily: true })
    const finish = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(lookMilliseconds, () => finish(false))
    socket.once('error', () => finish(false))
    socket.once('close', () => finish(false))
    socket.once('connect', () => socket.write('HEAD / HTTP/1.0\r\n\r\n'))
    socket.once('data', (data) => finish(data.toString('latin1').startsWith('HTTP/')))
  })
}

function subjectName(certificate: X509Certificate): string {
  return (certificate.subject ?? '').split('\n').join(', ')
}

function issuerName(certificate: X509Certificate | undefined): string {
  return (certificate?.issuer ?? 'unknown').split('\n').join(', ')
}

function minutes(openSslDate: string): string {
  return `${new Date(openSslDate).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}
