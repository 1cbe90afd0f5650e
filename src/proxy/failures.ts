import { isIP } from '../x509/ip.ts'
import type { Page } from './pages.ts'
import { hostname, portOf, type Upstream } from './upstream.ts'

/** The longest loop of proxies that is followed. */
export const mostHops = 5

/** The page for a host that no app has. */
export function noApp(host: string, hosts: readonly string[], port: string): Page {
  return {
    status: 404,
    error: 'destination_not_found',
    sentence:
      hosts.length === 0
        ? `No app has the name ${host}, and none was added yet.`
        : `No app has the name ${host}. These are the apps:`,
    list: hosts.map((each) => ({
      text: each,
      href: /^[\w.-]+$/.test(each) ? `https://${each}${port}/` : null,
    })),
    fixes: [
      isIP(host) === 0
        ? `Add it with the port that it listens on: \`rootling proxy add ${host} 3000\``
        : 'Ask for an app by its name; an address is none.',
    ],
  }
}

/** The page for a request that came through this proxy too often. */
export function loop({ app, origin }: Upstream): Page {
  return {
    status: 508,
    error: 'proxy_loop_detected',
    sentence: `The request for ${app} went in a circle: ${origin.host} sent it back ${mostHops} times.`,
    fixes: [
      `An app that forwards requests to ${app} itself must give them the host of their target: ` +
        'set `changeOrigin: true` in the proxy settings of Vite or webpack.',
    ],
  }
}

/** The page for an upstream that gave no answer. */
export function noAnswer(upstream: Upstream, error: NodeJS.ErrnoException): Page {
  const { app, origin, place = app, fix } = upstream
  const host = hostname(origin)
  const port = portOf(origin)
  const to = `The app ${app} should be at port ${port} of ${host}`
  const isPlain = origin.protocol !== 'https:'
  const add = (url: string): string => `\`rootling proxy add ${place} --to ${url}\``
  const code = error.code ?? ''
  if (code === 'ECONNREFUSED' || code === 'EADDRNOTAVAIL')
    return {
      status: 502,
      error: 'connection_refused',
      sentence: `${to}, but nothing listens there.`,
      fixes: [
        fix ?? `Start the app, or say where it is: \`rootling proxy add ${place} PORT\``,
        'Many development servers take another port when theirs is in use; their output says which.',
      ],
    }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return {
      status: 502,
      error: 'dns_error',
      sentence: `${to}, but that name has no address.`,
      fixes: [`Say where the app is: ${add('http://localhost:3000')}`],
    }
  if (code === 'ETIMEDOUT' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH')
    return {
      status: 504,
      error: 'connection_timeout',
      sentence: `${to}, but no connection to it could be made in time.`,
      fixes: ['See whether that machine runs, and whether its firewall lets this one in.'],
    }
  if (!isPlain && (code === 'EPROTO' || code.startsWith('ERR_SSL_')))
    return {
      status: 502,
      error: 'tls_protocol_error',
      sentence: `${to} and speak TLS, but what answers there does not.`,
      fixes: [`If it speaks plain HTTP: ${add(`http://${origin.host}`)}`],
    }
  if (!isPlain && isCertificateError(code))
    return {
      status: 502,
      error: 'tls_certificate_error',
      sentence: `${to}, but its certificate is not trusted: ${error.message}.`,
      fixes: [
        `Give the app a certificate of this authority: \`rootling issue ${host}\``,
        `Or forward without TLS, if the app can: ${add('http://localhost:3000')}`,
      ],
    }
  if (code === 'ERR_INVALID_ANSWER' || code === 'ERR_HTTP2_ERROR' || code === 'ERR_INVALID_CHAR')
    return {
      status: 502,
      error: 'http_protocol_error',
      sentence: `${to}, but what it answered is not ${origin.protocol === 'h2c:' ? 'HTTP/2' : 'HTTP/1.1'}.`,
      fixes: isPlain ? [`If it speaks HTTPS: ${add(`https://${origin.host}`)}`] : [],
    }
  return {
    status: 502,
    error: 'connection_terminated',
    sentence: `${to}, but closed the connection without an answer.`,
    fixes: [
      'See its output for what went wrong.',
      ...(isPlain ? [`If it speaks HTTPS: ${add(`https://${origin.host}`)}`] : []),
    ],
  }
}

const isCertificateError = (code: string): boolean =>
  code.startsWith('ERR_TLS_CERT') ||
  /CERT|^UNABLE_TO_|^HOSTNAME_MISMATCH|^PATH_LENGTH|^INVALID_(?:CA|PURPOSE)/.test(code)

/**
 * Returns what an app's own refusal means, and what to do, where it is known: Vite and Next.js refuse
 * hosts and origins that they were not told of. `text` is the beginning of the answer.
 */
export function hintFor(
  { app }: Upstream,
  path: string,
  status: number,
  text: string,
): string | null {
  if (status !== 403) return null
  if (text.includes('allowedHosts'))
    return `Vite refuses the host ${app}: set server.allowedHosts: ['${app}'] in vite.config.`
  if (/^Invalid Host(?:\/Origin)? header/.test(text))
    return `webpack-dev-server refuses the host ${app}: set devServer.allowedHosts: ['${app}'].`
  if (/^\/(?:_next|__nextjs)/.test(path) && text.startsWith('Unauthorized'))
    return `Next.js refuses the origin ${app}: set allowedDevOrigins: ['${app}'] in next.config.`
  if (text.includes('Cross-site POST form submissions are forbidden'))
    return `SvelteKit takes its origin for http: set ORIGIN=https://${app} for its server, or csrf.trustedOrigins in svelte.config.`
  return null
}
