import type { StateDirectory } from '../home/state-directory.ts'
import { foreignPage, hostOf, isOurHost } from '../server/host-check.ts'
import type { Handler, Request, Response } from '../server/http.ts'
import type { SocketOwners } from '../server/socket-owner.ts'
import { createAcmeAuthority, type AcmeAuthority } from './acme-authority.ts'
import { resumeValidations } from './authorizations.ts'
import type { AcmeContext, Answer, Signed } from './context.ts'
import { createEabKey, type CreatedEabKey } from './external-account.ts'
import { completeOrders } from './finalize.ts'
import { checkContentType, readBody, send } from './http.ts'
import { checkUrl, keyReference, nonceOf, parseJws, verifyJws } from './jws.ts'
import { accountKey, checkAlgorithm } from './keys.ts'
import { resolveOptions, resolveProfiles, type AcmeOptions } from './options.ts'
import { AcmeProblem, asProblem, malformed, notFound, unauthorized } from './problems.ts'
import type { Account } from './resources.ts'
import { routes, type Route } from './routes.ts'
import { openNonces, type Nonces } from './store/nonces.ts'
import { openStore } from './store/store.ts'
import { createUrls, type Urls } from './urls.ts'
import { createValidator } from './validation/validator.ts'

export interface AcmeServerOptions {
  readonly state: StateDirectory
  /** The URL of the server, such as `https://localhost:14600/acme`; the directory is below it. */
  readonly baseUrl: string
  /** A second URL, by which other machines reach the server; requests to its host get its URLs. */
  readonly remoteUrl?: string | undefined
  readonly now: () => Date
  /** The URL where OCSP and the CRL are served; certificates name it. */
  readonly revocationUrl?: string | undefined
  /** By default the authority of the state directory. */
  readonly authority?: AcmeAuthority | undefined
  readonly options?: AcmeOptions | undefined
  /**
   * Tells who on this machine may open accounts without an external account binding, and whose
   * servers may answer challenges; `null`: anybody.
   */
  readonly owners: SocketOwners | null
  /** Called with an error that the client sees as serverInternal, for the log. */
  readonly onError?: ((error: unknown) => void) | undefined
}

export interface AcmeServer {
  /** Answers requests below the path of the base URL; all others get 404. */
  readonly handler: Handler
  /** Makes a key for external account binding (RFC 8555 §7.3.4). */
  createEabKey(): Promise<CreatedEabKey>
  /** Ends running validations, and resolves when every acknowledged change is written. */
  close(): Promise<void>
}

/**
 * Creates an ACME server (RFC 8555) over a state directory, to be mounted on HTTPS. The server
 * keeps its own state in `acme/` there, which survives a kill; only one process may open it at a
 * time. Throws `corrupt-state`, `state-unwritable`, and `usage` for options.
 */
export async function createAcmeServer(server: AcmeServerOptions): Promise<AcmeServer> {
  const { state, now, revocationUrl, owners } = server
  const options = resolveOptions(server.options ?? {})
  const validator = createValidator(options, owners)
  const [store, nonces] = await Promise.all([openStore(state, now), openNonces(state)])
  const context: AcmeContext = {
    store,
    urls: urlsBelow(new URL(server.baseUrl)),
    now,
    authority: server.authority ?? createAcmeAuthority({ state, now, revocationUrl }),
    options,
    profiles: resolveProfiles(options),
    validator,
    owners,
    eabCommand: `rootling acme eab create${state.authority === undefined ? '' : ` --ca ${state.authority}`}`,
    issuing: new Set(),
  }
  await completeOrders(context)
  resumeValidations(context)
  const dispatcherOf = (base: URL): Dispatcher => ({
    context: { ...context, urls: urlsBelow(base) },
    nonces,
    base,
  })
  const local = dispatcherOf(new URL(server.baseUrl))
  const remote = server.remoteUrl === undefined ? null : dispatcherOf(new URL(server.remoteUrl))
  return {
    async handler(request, response) {
      const isRemote = remote !== null && hostOf(request) === hostnameOf(remote.base)
      const dispatcher = isRemote ? remote : local
      const answer = await answerTo(dispatcher, request).catch((error: unknown) => {
        const problem = asProblem(error)
        if (problem.document.status >= 500) server.onError?.(problem.cause ?? error)
        return problemAnswer(problem)
      })
      await respond(dispatcher, request, response, answer)
    },
    createEabKey: () => createEabKey(context),
    async close() {
      context.validator.close()
      await Promise.all([store.close(), nonces.close()])
    },
  }
}

const urlsBelow = (base: URL): Urls => createUrls(base.href.replace(/\/$/, ''))

/** Returns the host of a URL without the brackets of IPv6. */
const hostnameOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, '')

/** The parts that every request needs: the handlers' context, the nonces, and the server's URL. */
interface Dispatcher {
  readonly context: AcmeContext
  readonly nonces: Nonces
  readonly base: URL
}

async function answerTo(dispatcher: Dispatcher, request: Request): Promise<Answer> {
  const { context, base } = dispatcher
  if (hostOf(request) !== hostnameOf(base) && !isOurHost(request))
    throw malformed('This server is not for the host that the request names.', { status: 421 })
  const foreign = foreignPage(request)
  if (foreign !== null) throw unauthorized(foreign)
  const { route, ids } = findRoute(base, request.url ?? '')
  const { method } = request
  if (method === 'POST') {
    if (route.byAccount === undefined && route.byKey === undefined) throw notAllowed(route)
    return answerPost(dispatcher, request, route, ids)
  }
  if ((method !== 'GET' && method !== 'HEAD') || route.get === undefined) throw notAllowed(route)
  const answer = await route.get(context, ...ids)
  // newNonce answers 200 to HEAD and 204 to GET (RFC 8555 §7.2).
  return answer.status === 204 && method === 'HEAD' ? { ...answer, status: 200 } : answer
}

function findRoute(base: URL, url: string): { route: Route; ids: readonly string[] } {
  const prefix = base.pathname.replace(/\/$/, '')
  const [kind = '', ...ids] = url.startsWith(`${prefix}/`)
    ? url.slice(prefix.length + 1).split('/')
    : []
  const route = routes.get(kind)
  const sound = ids.every((id) => /^[A-Za-z0-9_.-]{1,200}$/.test(id))
  if (route === undefined || !route.ids.includes(ids.length) || !sound)
    throw notFound('There is nothing at this URL.')
  return { route, ids }
}

function notAllowed({ get, byAccount, byKey }: Route): AcmeProblem {
  const signed = byAccount !== undefined || byKey !== undefined
  const methods = [...(get === undefined ? [] : ['GET', 'HEAD']), ...(signed ? ['POST'] : [])]
  const detail = `Use ${methods.join(' or ')} here${signed && get === undefined ? '; to read, POST with an empty payload (RFC 8555 section 6.3)' : ''}.`
  return malformed(detail, { status: 405, headers: { Allow: methods.join(', ') } })
}

/**
 * Verifies a signed request and answers it (RFC 8555 §6.2 to §6.5). The nonce is used up last, so
 * that a refused request keeps it.
 */
async function answerPost(
  dispatcher: Dispatcher,
  request: Request,
  route: Route,
  ids: readonly string[],
): Promise<Answer> {
  const { context, nonces, base } = dispatcher
  checkContentType(request)
  const jws = parseJws(await readBody(request))
  checkAlgorithm(jws.header['alg'], null)
  const reference = keyReference(jws)
  checkUrl(jws, base.origin + (request.url ?? ''))
  const nonce = nonceOf(jws)
  const account = 'kid' in reference ? findAccount(context, reference.kid) : null
  const key = 'jwk' in reference ? reference.jwk : accountKey((account as Account).jwk)
  const payload = await verifyJws(jws, key)
  if (!nonces.use(nonce))
    throw new AcmeProblem('badNonce', 'The nonce is not one of this server, or was used before.')
  const signed: Signed = { payload, connection: request.socket }
  if (account === null) {
    if (route.byKey !== undefined) return route.byKey(context, signed, key)
    throw malformed('Sign this request for an account: with kid, not with jwk.')
  }
  // Verifying took a moment, in which the account may have been deactivated or have changed its
  // key.
  const current = findAccount(context, String(jws.header['kid']))
  if (current.thumbprint !== account.thumbprint)
    throw unauthorized('The key of the account has changed.')
  if (route.byAccount !== undefined)
    return route.byAccount(context, { ...signed, account: current, key }, ...ids)
  throw malformed('Sign this request with the key itself: with jwk, not with kid.')
}

function findAccount({ store, urls }: AcmeContext, kid: string): Account {
  const account = store.get('account', urls.accountId(kid) ?? '')
  if (account === undefined)
    throw new AcmeProblem('accountDoesNotExist', `There is no account ${kid.slice(0, 200)} here.`)
  if (account.status === 'valid') return account
  throw unauthorized('The account is deactivated.')
}

function problemAnswer({ document, headers }: AcmeProblem): Answer {
  return {
    status: document.status,
    contentType: 'application/problem+json',
    headers,
    body: document,
  }
}

/**
 * Sends an answer once its changes are written, so that a client gets the same answer after a kill
 * -9.
 */
async function respond(
  { context, nonces }: Dispatcher,
  request: Request,
  response: Response,
  answer: Answer,
): Promise<void> {
  const { urls, store } = context
  let sent = answer
  try {
    await Promise.all([store.saved(), nonces.saved()])
  } catch (error) {
    sent = problemAnswer(asProblem(error))
  }
  const link = sent.headers?.['Link']
  const index = `<${urls.directory}>;rel="index"`
  const isDirectory = context.urls.directory.endsWith(request.url ?? '') && sent.status === 200
  const headers = {
    ...sent.headers,
    ...(isDirectory ? {} : { Link: link === undefined ? index : [index, link].flat() }),
    'Replay-Nonce': nonces.make(),
  }
  send(request, response, { ...sent, headers })
}
