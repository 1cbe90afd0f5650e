import type { IncomingMessage, ServerResponse } from 'node:http'
import { parseBoundedJson } from '../../bounded-json.ts'
import { RootlingError } from '../../errors.ts'
import { hostOf } from '../../server/host-check.ts'
import { isSameSecret } from '../same-secret.ts'
import { dashboardPage } from './page.ts'

/** What the dashboard shows and does. Each function returns what becomes JSON. */
export interface DashboardSource {
  /** The daemon, scopes, certificates, routes, the last requests and lines of the log: what is quickly known. */
  overview(): Promise<object>
  /** What each trust store says, as `rootling status --json` prints it. */
  stores(): Promise<object>
  /** As `rootling doctor --json` prints it. */
  findings(): Promise<object>
  /** Renews a certificate that is on record, and returns what `rootling renew --json` prints. */
  renew(serialNumber: string): Promise<object>
}

export interface DashboardOptions {
  /** The host at which it is. */
  readonly host: string
  readonly source: DashboardSource
  /** The secret that a browser has from the URL's fragment, which is in no request of its own. */
  readonly token: string
  readonly onError: (error: unknown) => void
}

const common = {
  'Cache-Control': 'no-store',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}

interface Reply {
  readonly status: number
  readonly type: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * Creates the handler of the dashboard, behind the proxy. Its page holds nothing; all that it shows, it
 * asks for with the token. Refused are requests for another host (a name that was rebound), those that a
 * page of another origin causes, and those without the token, also of other users of this machine.
 */
export function createDashboard(
  options: DashboardOptions,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    reply(request, options).then(
      (answer) => send(request, response, answer),
      (error: unknown) => {
        options.onError(error)
        send(request, response, problem(500, 'The daemon failed; its log says why.'))
      },
    )
  }
}

async function reply(request: IncomingMessage, options: DashboardOptions): Promise<Reply> {
  if (hostOf(request) !== options.host) return problem(421, 'The dashboard has another host.')
  const [path = ''] = (request.url ?? '').split('?')
  if (path === '/') {
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return {
        ...problem(405, 'Only GET and HEAD are answered here.'),
        headers: { Allow: 'GET, HEAD' },
      }
    return page
  }
  if (!path.startsWith('/api/')) return problem(404, 'Nothing is here.')
  if (isForeign(request)) return problem(403, 'No page of another origin is answered.')
  if (!hasToken(request, options.token))
    return problem(401, 'The token is missing, or of an earlier start: rootling dashboard')
  return answer(path, request, options.source)
}

async function answer(
  path: string,
  request: IncomingMessage,
  source: DashboardSource,
): Promise<Reply> {
  const ask = { '/api/overview': 'overview', '/api/stores': 'stores', '/api/findings': 'findings' }
  const name = Object.hasOwn(ask, path) ? ask[path as keyof typeof ask] : undefined
  const method = name === undefined ? 'POST' : 'GET'
  if (name === undefined && path !== '/api/renew') return problem(404, 'Nothing is here.')
  if (request.method !== method)
    return { ...problem(405, `Only ${method} is answered here.`), headers: { Allow: method } }
  try {
    if (name !== undefined) return json(await source[name as 'overview'](), 200)
    // No form can send this type.
    if (request.headers['content-type'] !== 'application/json')
      return problem(415, 'Send application/json.')
    const serialNumber = serialNumberIn(await readBody(request))
    return serialNumber === null
      ? problem(400, 'Name one certificate by its serial number.')
      : json(await source.renew(serialNumber), 200)
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    const { code, message, hint } = error
    return json({ error: { code, message, hint: hint ?? null } }, 409)
  }
}

/** Whether a page of another origin causes a request; browsers tell by headers that no page can change. */
function isForeign({ headers }: IncomingMessage): boolean {
  const { origin, host, 'sec-fetch-site': site } = headers
  if (site !== undefined && site !== 'same-origin') return true
  return origin !== undefined && origin !== `https://${host}`
}

function hasToken({ headers }: IncomingMessage, token: string): boolean {
  const given = /^Bearer ([\w-]{1,200})$/.exec(headers.authorization ?? '')?.[1] ?? ''
  return isSameSecret(given, token)
}

const longestBody = 1_024

/** Reads the body; empty where it is too long. Rejects when the client breaks off. */
async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size <= longestBody) chunks.push(chunk)
  }
  return size > longestBody ? '' : Buffer.concat(chunks).toString()
}

function serialNumberIn(body: string): string | null {
  try {
    const { serialNumber } = parseBoundedJson(body) as { serialNumber?: unknown }
    return typeof serialNumber === 'string' && /^[0-9a-f]{8,40}$/.test(serialNumber)
      ? serialNumber
      : null
  } catch {
    return null
  }
}

const json = (value: object, status: number): Reply => ({
  status,
  type: 'application/json',
  body: JSON.stringify(value),
})

const problem = (status: number, message: string): Reply =>
  json({ error: { code: 'refused', message, hint: null } }, status)

const { html, styleSource, scriptSource } = dashboardPage()
const page: Reply = {
  status: 200,
  type: 'text/html; charset=utf-8',
  body: html,
  headers: {
    'Content-Security-Policy': [
      "default-src 'none'",
      `style-src ${styleSource}`,
      `script-src ${scriptSource}`,
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
    ].join('; '),
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
  },
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, type, body, headers }: Reply,
): void {
  response.writeHead(status, {
    ...common,
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    ...headers,
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}
