import { isOurHost } from '../../server/host-check.ts'
import type { Handler, Request, Response } from '../../server/http.ts'
import { connectionFacts } from './connection-facts.ts'
import type { Listing } from '../static-files.ts'
import { listingPage, listingText } from './listing.ts'
import { styleSource } from '../page.ts'
import { demoPage, demoText } from './page.ts'

export interface DemoOptions {
  /** A folder whose files are served, with a listing of each folder that has no index.html. */
  readonly directory?: string | undefined
}

const securityHeaders = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': [
    "default-src 'none'",
    `style-src ${styleSource}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}

/**
 * Creates the handler of `rootling serve`. At `/` it shows how the connection of the request was
 * secured: as a page for a client that asks for HTML, as data for `Accept: application/json`, and
 * else as text. It answers 421 for a host that this server does not serve, 405 unless the method is
 * GET or HEAD, and else 404.
 */
export function createDemoHandler(options: DemoOptions = {}): Handler {
  const { directory } = options
  return async (request, response) => {
    if (!isOurHost(request)) {
      reply(request, response, 421, 'This server does not answer for that host name.\n')
      return
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      reply(request, response, 405, 'Only GET and HEAD are answered here.\n')
      return
    }
    if (directory !== undefined) {
      const { listFolder, sendFile } = await import('../static-files.ts')
      if (await sendFile(request, response, directory)) return
      const listing = await listFolder(request.url ?? '', directory)
      if (listing !== null) {
        sendListing(request, response, listing)
        return
      }
    } else if (request.url?.split('?')[0] === '/') {
      sendFacts(request, response)
      return
    }
    reply(request, response, 404, 'Not found.\n')
  }
}

const html = 'text/html; charset=utf-8'

/** Whether a client asks for HTML, as browsers do; curl's, which accepts all, does not. */
const asksForHtml = (request: Request): boolean =>
  (request.headers.accept ?? '').includes('text/html')

function sendListing(request: Request, response: Response, listing: Listing): void {
  response.setHeader('Vary', 'Accept')
  if (asksForHtml(request)) reply(request, response, 200, listingPage(listing), html)
  else reply(request, response, 200, listingText(listing))
}

function sendFacts(request: Request, response: Response): void {
  const facts = connectionFacts(request)
  const accept = request.headers.accept ?? ''
  response.setHeader('Vary', 'Accept')
  if (asksForHtml(request)) reply(request, response, 200, demoPage(facts), html)
  else if (accept.includes('application/json'))
    reply(request, response, 200, `${JSON.stringify(facts, null, 2)}\n`, 'application/json')
  else reply(request, response, 200, demoText(facts))
}

function reply(
  request: Request,
  response: Response,
  status: number,
  text: string,
  type = 'text/plain; charset=utf-8',
): void {
  response.statusCode = status
  for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value)
  response.setHeader('Content-Type', type)
  response.setHeader('Content-Length', Buffer.byteLength(text))
  if (request.method === 'HEAD') response.end()
  else response.end(text)
}
