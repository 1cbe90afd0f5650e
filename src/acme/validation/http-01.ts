import { request as requestHttp, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP, isIPv6 } from 'node:net'
import { hostPort } from '../../server/listen.ts'
import { parseIdentifier } from '../../x509/identifier.ts'
import { AcmeProblem } from '../problems.ts'
import { askOwners, connectionProblem, tryEach, type Connecting } from './addresses.ts'
import type { Attempt } from './attempt.ts'

const mostRedirects = 5
/** The longest answer. A key authorization takes about 90 octets. */
const mostOctets = 1024

/**
 * Fetches the key authorization from the host (RFC 8555 §8.3, and RFC 8738 §4 for addresses).
 * Throws an AcmeProblem.
 */
export async function validateHttp01(attempt: Attempt): Promise<void> {
  const { identifier, token, options } = attempt
  const host = isIPv6(identifier.value) ? `[${identifier.value}]` : identifier.value
  let url = new URL(`http://${host}/.well-known/acme-challenge/${token}`)
  if (options.http01Port !== 80) url.port = String(options.http01Port)
  for (let redirects = 0; redirects <= mostRedirects; redirects++) {
    const next = await fetchOnce(url, redirects > 0, attempt)
    if (next === null) return
    url = next
  }
  throw incorrect(`${identifier.value} redirects more than ${mostRedirects} times.`)
}

/**
 * Fetches a URL. Returns `null` when the key authorization is there, or else the URL that it
 * redirects to.
 */
async function fetchOnce(url: URL, redirected: boolean, attempt: Attempt): Promise<URL | null> {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80)
  const ask = async (
    address: string,
    connecting: Connecting,
  ): Promise<{ readonly next: URL | null }> => {
    // The path of a redirect is text of the server that sent it.
    const shown = redirected && attempt.bound ? url.origin : url.href
    const where = `${shown} (${hostPort(address, port)})`
    let response: IncomingMessage
    try {
      response = await get(url, address, port, connecting)
    } catch (error) {
      throw connectionProblem(where, error)
    }
    try {
      const status = response.statusCode ?? 0
      const { location } = response.headers
      if ([301, 302, 303, 307, 308].includes(status) && location !== undefined) {
        return { next: redirectTarget(location, url, where, attempt) }
      }
      if (status !== 200) throw incorrect(`${where} answered with the status ${status}, not 200.`)
      const body = await readAnswer(response, where)
      if (body.trimEnd() === attempt.keyAuthorization) return { next: null }
      const mayShow = !redirected && !attempt.bound
      const said = mayShow ? JSON.stringify(body.slice(0, 80)) : `${Buffer.byteLength(body)} octets`
      throw incorrect(`${where} answered ${said}, not the key authorization.`)
    } finally {
      response.destroy()
    }
  }
  let next: URL | null = null
  await tryEach(await attempt.addresses.of(host), attempt.signal, async (address, connecting) => {
    const asked = askOwners(attempt.owners, address, port, () => ask(address, connecting))
    next = (await asked).next
  })
  return next
}

function get(
  url: URL,
  address: string,
  port: number,
  { signal, begun, connected }: Connecting,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    begun()
    const name = url.hostname.replace(/^\[|\]$/g, '')
    const options = {
      host: address,
      port,
      path: url.pathname + url.search,
      agent: false,
      signal,
      maxHeaderSize: 16_384,
      headers: { Host: url.host, 'User-Agent': 'rootling-acme', Connection: 'close' },
    }
    // Over HTTPS any certificate is accepted (RFC 8555 §8.3): the server may not have a valid one
    // yet.
    const request =
      url.protocol === 'https:'
        ? requestHttps({
            ...options,
            rejectUnauthorized: false,
            ...(isIP(name) === 0 ? { servername: name } : {}),
          })
        : requestHttp(options)
    request.once('socket', (socket) => socket.once('connect', connected))
    request.once('response', resolve).once('error', reject).end()
  })
}

async function readAnswer(response: IncomingMessage, where: string): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      length += chunk.length
      if (length > mostOctets) throw incorrect(`${where} answered more than ${mostOctets} octets.`)
    }
  } catch (error) {
    throw connectionProblem(where, error)
  }
  return Buffer.concat(chunks).toString()
}

/**
 * Returns the URL that a redirect leads to. Refuses ports that no server for validation has, and, for
 * a bound account, other hosts: its client would choose which servers of this network are asked for
 * what. The addresses of the new host are checked like those of the first.
 */
function redirectTarget(
  location: string,
  from: URL,
  where: string,
  { options, bound }: Attempt,
): URL {
  const url = URL.canParse(location, from.href) ? new URL(location, from.href) : null
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '')
    throw incorrect(
      bound
        ? `${where} redirects to what is no URL of http or https.`
        : `${where} redirects to ${JSON.stringify(location.slice(0, 200))}.`,
    )
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80)
  if (![80, 443, options.http01Port, options.tlsAlpn01Port].includes(port))
    throw incorrect(`${where} redirects to the port ${port}, which is not one of a web server.`)
  if (bound && url.hostname !== from.hostname)
    throw incorrect(
      `${where} redirects to another host, which is not followed for an account that is bound to a key of this authority.`,
    )
  try {
    parseIdentifier(url.hostname.replace(/^\[|\]$/g, ''))
  } catch (error) {
    throw incorrect(`${where} redirects to an invalid host.`, error)
  }
  return url
}

function incorrect(detail: string, cause?: unknown): AcmeProblem {
  return new AcmeProblem('incorrectResponse', detail, { cause })
}
