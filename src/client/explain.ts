import type { X509Certificate } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import { isSignedBy } from '../x509/parsed-certificate.ts'
import { formatDate, oneLine } from '../x509/text.ts'
import { altNames, commonNameOf, lookAtPeer } from './peer.ts'
import { speaksPlainHttp } from './probe.ts'
import type { Target } from './target.ts'

type NodeError = NodeJS.ErrnoException & { secured?: boolean }

export interface Circumstances {
  /** Whether the client had a certificate to send. */
  readonly sentCertificate: boolean
  readonly now: Date
}

const lookMilliseconds = 2_000

/** Turns an error of Node or OpenSSL into one sentence on which check failed, with a hint. */
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
  const commonName = commonNameOf(chain[0])
  const names =
    commonName === null ? altNames(chain[0]).join(', ') : `${commonName} (its common name only)`
  const refuse = (sentence: string, hint: string): RootlingError =>
    new RootlingError('not-trusted', `${sentence}.`, { hint, cause: error })
  const issue = `rootling issue ${host}`

  switch (code) {
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return refuse(
        `Wrong host: the certificate is for ${names || 'no host at all'}, not for ${host}`,
        `Give the server one that names it: ${issue}`,
      )
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return refuse(validitySentence(code, chain, circumstances.now), issue)
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return refuse(
        selfSignedSentence(host),
        `Name that certificate with --cacert, or issue one: ${issue}`,
      )
    case 'SELF_SIGNED_CERT_IN_CHAIN':
      return refuse(
        `Unknown issuer: the chain of ${host} ends at ${untrustedRoot(chain)}`,
        nameOrInstall,
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
    const violated = `a CA in the chain may not issue for ${names || host} (${error.message})`
    return refuse(`Name constraint violated: ${violated}`, 'rootling ca list')
  }
  return refuse(`The certificate of ${host} is refused: ${error.message}`, issue)
}

/** Whether an error has one of OpenSSL's verify codes. Some have no name in Node: UNSPECIFIED. */
function isCertificateError({ code = '' }: NodeError): boolean {
  return (
    /^(?:CERT_|UNABLE_TO_|ERR_TLS_CERT_|PATH_LENGTH_)|SELF_SIGNED_CERT/.test(code) ||
    /^(?:INVALID_CA|INVALID_PURPOSE|UNSPECIFIED|HOSTNAME_MISMATCH)$/.test(code)
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
  if (expired) return `Expired: ${whose} was valid until ${formatDate(new Date(culprit.validTo))}`
  const start = formatDate(new Date(culprit.validFrom))
  return `Not yet valid: ${whose} is valid from ${start}, later than this machine's clock`
}

function selfSignedSentence(host: string): string {
  const signer = 'itself, not by a root that this client trusts'
  return `Self-signed: the certificate of ${host} is signed by ${signer}`
}

/**
 * The sentence for OpenSSL's “unsuitable purpose”, which can mean three things: an issuer is not a
 * CA, a server presents a CA's own certificate, or the leaf is not for servers.
 */
function purposeSentence(host: string, chain: readonly X509Certificate[]): string {
  const [leaf, ...issuers] = chain
  if (issuers.some((issuer) => !issuer.ca))
    return `Not a CA: a certificate in the chain of ${host} signed another without being allowed to`
  if (leaf !== undefined && leaf.issuer === leaf.subject && isSignedBy(leaf, leaf))
    return selfSignedSentence(host)
  return `Wrong purpose: the certificate of ${host} is not for servers`
}

/**
 * Returns the sentence for an issuer that the client does not trust. A server that sends one
 * certificate may have left out its intermediate.
 */
function unknownIssuerSentence(host: string, chain: readonly X509Certificate[]): string {
  if (chain.length > 1)
    return `Unknown issuer: the chain of ${host} leads to ${untrustedRoot(chain)}`
  const issuer = `this client does not know its issuer “${issuerName(chain.at(-1))}”`
  const left = 'the server may have left out the intermediate'
  return `Unknown issuer: ${host} sent one certificate only, and ${issuer}; ${left}`
}

function untrustedRoot(chain: readonly X509Certificate[]): string {
  return `“${issuerName(chain.at(-1))}”, which is not a root that this client trusts`
}

const nameOrInstall = 'Name that root with --cacert, or trust ours: rootling install'

function unknownIssuerHint(chain: readonly X509Certificate[]): string {
  return chain.length > 1
    ? nameOrInstall
    : 'Let the server send its whole chain, or --cacert with the root'
}

/**
 * What an alert says about the client's certificate (RFC 8446 §6.2). Each text completes a sentence
 * that begins with the name of the server.
 */
const verdicts: Readonly<Record<string, string>> = {
  UNKNOWN_CA: 'does not know the CA that issued it, or got it without its intermediate',
  CERTIFICATE_EXPIRED: 'says that it is out of its dates',
  CERTIFICATE_REVOKED: 'says that it was revoked',
  UNSUPPORTED_CERTIFICATE: 'says that it is not for clients',
  BAD_CERTIFICATE: 'does not accept it (bad certificate)',
  CERTIFICATE_UNKNOWN: 'does not accept it (certificate unknown)',
  ACCESS_DENIED: 'knows it and does not let it in (access denied)',
}

/**
 * Returns the error for a server that refused the client, with an alert or by hanging up; `null`
 * when the failure has another cause.
 */
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
        : '--cert-file F --key-file F; rootling issue --client NAME makes them',
      cause: error,
    })
  if (reason.endsWith('ALERT_CERTIFICATE_REQUIRED'))
    return refused(`Client certificate required: ${host} wants one and got none.`)
  const alert = /ALERT_(\w+)$/.exec(reason)?.[1] ?? ''
  const verdict = verdicts[alert]
  const [refusal, need] = ['Client certificate refused', 'Client certificate required']
  if (verdict !== undefined)
    return refused(
      sent
        ? `${refusal}: ${host} ${verdict}.`
        : `${need}: ${host} refused the handshake (${inWords(alert)}).`,
    )
  const hungUp = code === 'ECONNRESET' || code === 'EPIPE'
  if (error.secured !== true || !hungUp) return null
  const how = `${host} hung up after the handshake`
  return refused(
    sent
      ? `${refusal}: ${how}, probably because it does not accept it.`
      : `${need}: ${how}, as servers do that want one.`,
  )
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
        `Check the name, or add it to the hosts file: rootling hosts add ${host}`,
      )
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return fail(`${where} cannot be reached (${code}).`)
    default:
      break
  }
  const reason = openSslReason(error)
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|BAD_PROTOCOL_VERSION|HTTP_REQUEST/.test(reason))
    return (await speaksPlainHttp(host, port, lookMilliseconds))
      ? fail(
          `${where} spoke plain HTTP, not TLS.`,
          `Open http://${url.host}${url.pathname}, or rootling serve`,
        )
      : fail(`${where} does not speak TLS.`)
  if (/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/.test(reason))
    return fail(`${where} and this client have no TLS version in common (1.2 or 1.3 here).`)
  if (reason.endsWith('NO_APPLICATION_PROTOCOL')) return fail(`${where} does not offer HTTP/1.1.`)
  if (reason.endsWith('ALERT_HANDSHAKE_FAILURE')) {
    const causes = 'no cipher or group in common, or it wants a client certificate'
    const hint = 'curl -v, or --cert-file F --key-file F'
    return fail(`${where} refused the handshake: ${causes}.`, hint)
  }
  if (code.startsWith('HPE_')) return fail(`${where} answered with something that is not HTTP.`)
  if (code === 'ECONNRESET') return fail(`${where} closed the connection before it was secured.`)
  return fail(`Cannot get ${url.href}: ${reason === '' ? error.message : inWords(reason)}.`)
}

/** `WRONG_VERSION_NUMBER` → `wrong version number`. */
const inWords = (reason: string): string => reason.toLowerCase().replaceAll('_', ' ')

/**
 * Returns OpenSSL's reason, such as `WRONG_VERSION_NUMBER`. It is taken from the code
 * `ERR_SSL_WRONG_VERSION_NUMBER`, or from the message of `EPROTO`, Node's code for any failure
 * before the end of the handshake. Empty when there is none.
 */
function openSslReason(error: NodeError): string {
  if (error.code?.startsWith('ERR_SSL_')) return error.code.slice('ERR_SSL_'.length)
  const reason = /:SSL routines:[^:]*:([^:]+):/.exec(error.message)?.[1] ?? ''
  return reason.toUpperCase().replaceAll(' ', '_')
}

function subjectName(certificate: X509Certificate): string {
  return oneLine(certificate.subject ?? '')
}

function issuerName(certificate: X509Certificate | undefined): string {
  return oneLine(certificate?.issuer ?? 'unknown')
}
