import { RootlingError } from '../errors.ts'
import { printable } from '../printable.ts'

/** What OpenSSL's code after `ERR_SSL_` says about the client. */
const sentences: Readonly<Record<string, string>> = {
  WRONG_VERSION_NUMBER: 'what it sent is not TLS.',
  UNSUPPORTED_PROTOCOL: 'it offers no version of TLS that this server accepts.',
  VERSION_TOO_LOW: 'it offers no version of TLS that this server accepts.',
  NO_SHARED_CIPHER: 'it offers no cipher that this server accepts.',
  NO_SUITABLE_KEY_SHARE: 'it offers no key exchange that this server accepts.',
  NO_SHARED_GROUP: 'it offers no key exchange that this server accepts.',
  NO_APPLICATION_PROTOCOL: 'it speaks neither HTTP/1.1 nor HTTP/2.',
  UNEXPECTED_EOF_WHILE_READING: 'it hung up during the TLS handshake.',
  HTTP_REQUEST: 'it sent a request over plain HTTP.',
  UNKNOWN_CA: 'it does not trust the root of this certificate.',
  CERTIFICATE_UNKNOWN: 'it does not accept this certificate.',
  BAD_CERTIFICATE: 'it does not accept this certificate.',
  UNSUPPORTED_CERTIFICATE: 'it does not accept this kind of certificate.',
  CERTIFICATE_EXPIRED: 'it says that this certificate has expired.',
  CERTIFICATE_REVOKED: 'it says that this certificate was revoked.',
  PROTOCOL_VERSION: 'it accepts no version of TLS that this server offers.',
  HANDSHAKE_FAILURE: 'it accepts nothing that this server offers.',
  UNRECOGNIZED_NAME: 'it says that this certificate is for another name.',
}

/**
 * Says in a sentence why a connection came to nothing. The errors of OpenSSL and of Node's HTTP
 * parser are texts for programmers, such as `80B1:error:0A000418:SSL routines:…`.
 */
export function describeConnectionError(error: Error): string {
  if (error instanceof RootlingError) return error.message
  const { code = '', reason = '' } = error as NodeJS.ErrnoException & { reason?: string }
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'it did not finish the TLS handshake in time.'
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'it did not send its whole request in time.'
  if (code === 'HPE_HEADER_OVERFLOW') return 'the head of its request is too long.'
  if (code.startsWith('HPE_') || code === 'ERR_HTTP2_ERROR') return 'what it sent is not HTTP.'
  const name = /^ERR_SSL_(?:(?:TLSV1|TLSV13|SSLV3|TLS)_ALERT_)?(\w+)$/.exec(code)?.[1] ?? ''
  if (Object.hasOwn(sentences, name)) return sentences[name] as string
  if (code.startsWith('ERR_SSL_'))
    return `the TLS handshake failed (${printable(reason || name.toLowerCase().replaceAll('_', ' '))}).`
  return error.message.split('\n')[0] ?? ''
}
