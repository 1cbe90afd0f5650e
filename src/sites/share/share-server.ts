import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Contexts } from '../../server/contexts.ts'
import { hostOf } from '../../server/host-check.ts'
import type { Request, Response } from '../../server/http.ts'
import { createHttpsServer } from '../../server/https.ts'
import { defaultLimits, tooManyHeaders } from '../../server/limits.ts'
import { hostPort } from '../../server/listen.ts'
import { createPlainServer } from '../../server/plain.ts'
import { unmapped } from '../../x509/ip.ts'
import type { Page } from '../page.ts'
import { isSameSecret } from '../same-secret.ts'
import { deviceOf, systemOf } from './device.ts'
import { wordsOf } from './fingerprint-words.ts'
import { mobileconfig } from './mobileconfig.ts'
import { checkPage, rootFiles, sharePage } from './share-page.ts'

export interface SharedRoot {
  /** Its common name. */
  readonly name: string
  readonly der: Buffer
  readonly pem: string
  /** SHA-256, lower-case hex. */
  readonly fingerprint: string
  readonly permitted: readonly string[]
}

/** What another machine did, for the terminal. */
export interface ShareEvent {
  /** It opened the page, fetched the root, or made a connection that it trusts. */
  readonly what: 'opened' | 'fetched' | 'trusted'
  readonly address: string
  /** What it seems to be, such as `an iPhone or iPad`. */
  readonly device: string
}

export interface ShareOptions {
  /** The address of this machine in the network to share in. */
  readonly address: string
  /** The ports for plain HTTP and for HTTPS; 0 takes a free one. */
  readonly port: number
  readonly checkPort: number
  readonly root: SharedRoot
  /** The certificate for `address`. */
  readonly pair: { readonly cert: string; readonly key: string }
  readonly contexts?: Contexts | undefined
  readonly until: Date
  readonly now: () => Date
  /** The URLs of the apps that are shared too. */
  readonly apps: readonly string[]
  /** Called once for each machine and deed. */
  readonly onEvent: (event: ShareEvent) => void
  readonly onError: (error: unknown) => void
}

export interface Share {
  /** The URL of the page, with its token. */
  readonly url: string
  readonly checkUrl: string
  close(): Promise<void>
}

/** Text, HTML or a file, and its headers. */
interface Reply {
  readonly status: number
  readonly body: string | Buffer
  readonly headers: Readonly<Record<string, string>>
}

const common = {
  'Cache-Control': 'no-store',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}

/**
 * Serves the page with a public root over plain HTTP, and the page that proves trust over HTTPS. Both
 * answer only at paths that begin with a token, which nobody can guess, and at no other host than
 * `address`; nothing else is served. Throws `port-in-use` and `listen-failed`.
 */
export async function startShare(options: ShareOptions): Promise<Share> {
  const { address, root, apps, until } = options
  const token = randomBytes(12).toString('base64url')
  const seen = new Set<string>()
  const tell = (what: ShareEvent['what'], request: Request): void => {
    const from = unmapped(request.socket.remoteAddress ?? '')
    // Whoever has the token cannot fill the memory, or the terminal.
    if (seen.has(`${what} ${from}`) || seen.size >= 1_000) return
    seen.add(`${what} ${from}`)
    options.onEvent({ what, address: from, device: deviceOf(request.headers['user-agent'] ?? '') })
  }

  const replyFor = (request: Request, answer: (rest: string) => Reply): Reply => {
    if (tooManyHeaders(request, defaultLimits)) return refusal(431, 'These are too many headers.')
    if (hostOf(request) !== address) return refusal(421, 'This server has another address.')
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return refusal(405, 'Only GET and HEAD are answered here.', { Allow: 'GET, HEAD' })
    const [, given = '', rest] = /^\/([^/?]*)(?:\/([^?]*))?/.exec(request.url ?? '') ?? []
    if (!isSameSecret(given, token)) return refusal(404, 'Nothing is here.')
    // The links of the page are relative to its path.
    if (rest === undefined) return refusal(308, 'It is below this.', { Location: `/${token}/` })
    return answer(rest)
  }

  const check = await createHttpsServer({
    host: address,
    port: options.checkPort,
    portOption: 'check-port',
    pair: options.pair,
    contexts: options.contexts,
    // Phones of some years ago.
    minVersion: 'TLSv1.2',
    now: options.now,
    onHandlerError: options.onError,
    handler: (request, response) => {
      const reply = replyFor(request, (rest) => {
        if (rest === 'probe') {
          tell('trusted', request)
          // The page that asks has another origin, since it is served over plain HTTP.
          const headers = { 'Cross-Origin-Resource-Policy': 'cross-origin' }
          return { status: 204, body: '', headers }
        }
        if (rest !== '') return refusal(404, 'Nothing is here.')
        return pageReply(checkPage({ name: root.name, apps }), '')
      })
      send(request, response, reply)
    },
  })
  const checkUrl = `https://${hostPort(address, check.port)}/${token}/`
  const facts = { ...root, words: wordsOf(root.fingerprint), until, checkUrl, apps }
  const file = (type: string, body: string | Buffer, name: string): Reply => ({
    status: 200,
    body,
    headers: { 'Content-Type': type, 'Content-Disposition': `attachment; filename="${name}"` },
  })
  const answer = (request: Request, rest: string): Reply => {
    switch (rest) {
      case '': {
        tell('opened', request)
        const system = systemOf(request.headers['user-agent'] ?? '')
        const page = sharePage({ ...facts, probeUrl: `${checkUrl}probe`, system })
        return pageReply(page, new URL(checkUrl).origin)
      }
      case rootFiles.profile: {
        tell('fetched', request)
        // Without an attachment Safari offers to install it.
        const headers = { 'Content-Type': 'application/x-apple-aspen-config' }
        return { status: 200, body: mobileconfig([root], root.name), headers }
      }
      case rootFiles.der:
        tell('fetched', request)
        return file('application/x-x509-ca-cert', root.der, rootFiles.der)
      case rootFiles.pem:
        tell('fetched', request)
        return file('application/x-pem-file', root.pem, rootFiles.pem)
      default:
        return refusal(404, 'Nothing is here.')
    }
  }
  try {
    const plain = await createPlainServer({
      host: address,
      port: options.port,
      handle: (request: IncomingMessage, response: ServerResponse) =>
        send(
          request,
          response,
          replyFor(request, (rest) => answer(request, rest)),
        ),
    })
    return {
      url: `http://${hostPort(address, plain.port)}/${token}/`,
      checkUrl,
      async close() {
        await Promise.all([plain.close(), check.close({ drainMilliseconds: 500 })])
      },
    }
  } catch (error) {
    await check.close({ drainMilliseconds: 0 })
    throw error
  }
}

const refusal = (
  status: number,
  sentence: string,
  headers: Readonly<Record<string, string>> = {},
): Reply => ({
  status,
  body: `${sentence}\n`,
  headers: { 'Content-Type': 'text/plain; charset=utf-8', ...headers },
})

/** `origin`: where the script of the page may connect to; empty: nowhere. */
const pageReply = ({ html, styleSource, scriptSource }: Page, origin: string): Reply => ({
  status: 200,
  body: html,
  headers: {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': [
      "default-src 'none'",
      `style-src ${styleSource}`,
      `script-src ${scriptSource}`,
      `connect-src ${origin === '' ? "'none'" : origin}`,
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
  },
})

function send(request: Request, response: Response, { status, body, headers }: Reply): void {
  const all: Record<string, string | number> = { ...common, ...headers }
  if (status !== 204) all['Content-Length'] = Buffer.byteLength(body)
  // The types of the two protocols have no common signature of writeHead.
  ;(response as ServerResponse).writeHead(status, all)
  if (request.method === 'HEAD' || status === 204) response.end()
  else (response as ServerResponse).end(body)
}
