import { hostOf } from './host-check.ts'
import type { Handler } from './http.ts'

/**
 * Redirects a request over plain HTTP to the same path and port over HTTPS (RFC 9110 §15.4.9: the
 * client repeats the request, with its method and body). Where the request names no port, as a script
 * may have it, the port is the one that it came in on. Answers 400 where the request does not say
 * which host it is for.
 */
export const redirectToHttps: Handler = (request, response) => {
  response.setHeader('Content-Type', 'text/plain; charset=utf-8')
  response.setHeader('Connection', 'close')
  const host = hostOf(request)
  if (host === null) {
    response.statusCode = 400
    response.end('This port speaks HTTPS.\n')
    return
  }
  const named = /:(\d+)$/.exec(request.headers.host ?? '')?.[1]
  const port = Number(named ?? request.socket.localPort ?? 443)
  const path = request.url === '*' ? '/' : request.url
  const shown = host.includes(':') ? `[${host}]` : host
  const location = `https://${shown}${port === 443 ? '' : `:${port}`}${path}`
  response.statusCode = 308
  response.setHeader('Location', location)
  response.end(`This port speaks HTTPS: ${location}\n`)
}
