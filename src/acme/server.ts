import type { StateDirectory } from '../home/state-directory.ts'
import { foreignPage, hostOf, isOurHost } from '../server/host-check.ts'
import type { Handler, Request, Response } from '../server/http.ts'
import type { Connection, SocketOwners } from '../server/socket-owner.ts'
import { createAcmeAuthority, type AcmeAuthority } from './acme-authority.ts'
import { resumeValidations } from './authorizations.ts'
import type { AcmeContext, Answer, Reply, Signed, SignedByAccount } from './context.ts'
import {
  createEabKey,
  keyOfAccount,
  listEabKeys,
  revokeEabKey,
  type CreatedEabKey,
  type EabKeyOptions,
  type ListedEabKey,
} from './eab-keys.ts'
import { checkContentType, readBody, send } from './http.ts'
import {
  checkUrl,
  isPostAsGet,
  keyReference,
  nonceOf,
  parseJws,
  peekPayload,
  verifyJws,
  type Jws,
  type KeyReference,
} from './jws.ts'
import { algorithmOf, type AccountKey } from './keys.ts'
import { createKnownKeys } from './known-keys.ts'
import { clientOf, createLimits } from './limits.ts'
import { resolveOptions, resolveProfiles, type AcmeOptions } from './options.ts'
import {
  AcmeProblem,
  asProblem,
  isRateLimited,
  malformed,
  notFound,
  unauthorized,
} from './problems.ts'
import type { Account, EabKey } from './resources.ts'
import { routes, type Route } from './routes.ts'
import { mostAttempts, type AcmeStore, type Need, type Unit } from './store/contract.ts'
import { openFileStore } from './store/files.ts'
import { createUrls, type Urls } from './urls.ts'
import { isLoopback } from './validation/addresses.ts'
import { createValidator } from './validation/validator.ts'
import { fileStorage } from '../storage/files/storage.ts'

export interface AcmeServerOptions {
  /** Not needed where `authority` and `store` are given. */
  readonly state?: StateDirectory | undefined
  /** The URL of the server, such as `https://localhost:14600/acme`; the directory is below it. */
  readonly baseUrl: string
  /** A second URL, by which other machines reach the server; requests to its host get its URLs, and
   * no certificate for a loopback name. */
  readonly remoteUrl?: string | undefined
  readonly now: () => Date
  /** The URL where OCSP and the CRL are served; certificates name it. */
  readonly revocationUrl?: string | undefined
  /** By default the authority of the state directory. */
  readonly authority?: AcmeAuthority | undefined
  /** By default the files in `acme/` of the state directory. The server closes it. */
  readonly store?: AcmeStore | undefined
  readonly options?: AcmeOptions | undefined
  /**
   * Tells who on this machine may open accounts without an external account binding, and whose
   * servers may answer challenges; `null`: anybody.
   */
  readonly owners: SocketOwners | null
  /**
   * The command that makes a key for external account binding, for clients that need one; default:
   * `rootling acme eab create`.
   */
  readonly eabCommand?: string | undefined
  /** Called with an error that the client sees as serverInternal, for the log. */
  readonly onError?: ((error: unknown) => void) | undefined
  /** Called with each answer, for metrics. */
  readonly onAnswer?: ((request: Request, shown: Shown) => void) | undefined
  /** Called with the ID of the account that has signed a request, once its signature is verified. */
  readonly onAccount?: ((request: Request, account: string) => void) | undefined
  /** Called when a validation has failed: the type of its challenge, and that of the problem. */
  readonly onInvalid?: ((type: string, problem: string) => void) | undefined
}

/** What metrics count of an answer. */
export interface Shown {
  readonly status: number
  /** The type of the problem in it, such as `badCSR`; `null`: it shows none. */
  readonly problem: string | null
  /** The limit that was reached, such as `ordersPerHour`; `null`: none was. */
  readonly limit: string | null
}

export interface AcmeServer {
  /** Answers requests below the path of the base URL; all others get 404. */
  readonly handler: Handler
  /**
   * Makes a key for external account binding (RFC 8555 §7.3.4). Without options it limits nothing, and any
   * number of accounts may be bound to it. Throws `usage` for options.
   */
  createEabKey(options?: EabKeyOptions): Promise<CreatedEabKey>
  /** Returns all keys without their secrets, oldest first. */
  listEabKeys(): Promise<readonly ListedEabKey[]>
  /**
   * Revokes a key: it binds no account any more, and its accounts get no certificates. `false`: it was
   * revoked before. Throws `usage` where there is no such key.
   */
  revokeEabKey(kid: string): Promise<boolean>
  /** Ends running validations, and resolves when every acknowledged change is written. */
  close(): Promise<void>
}

/**
 * Creates an ACME server (RFC 8555), to be mounted on HTTPS. The server keeps its own state in an
 * `AcmeStore`; of that in files only one process may make use at a time. Throws `corrupt-state`,
 * `state-unwritable`, and `usage` for options.
 */
export async function createAcmeServer(server: AcmeServerOptions): Promise<AcmeServer> {
  const { state, now, revocationUrl, owners } = server
  const options = resolveOptions(server.options ?? {})
  const validator = createValidator(options, owners)
  const stateDirectory = (): StateDirectory => {
    if (state !== undefined) return state
    throw new TypeError('an ACME server needs a state directory, or an authority and a store')
  }
  const authority =
    server.authority ??
    createAcmeAuthority({ storage: fileStorage(stateDirectory()), now, revocationUrl })
  const isRecorded = async (serialNumber: string): Promise<boolean> =>
    (await authority.find(serialNumber)) !== null
  const context: AcmeContext = {
    store: server.store ?? (await openFileStore({ state: stateDirectory(), now, isRecorded })),
    urls: urlsBelow(new URL(server.baseUrl)),
    isRemote: false,
    now,
    authority,
    options,
    profiles: resolveProfiles(options),
    validator,
    limits: createLimits(options.limits ?? {}, now),
    owners,
    eabCommand:
      server.eabCommand ??
      `rootling acme eab create${state?.authority === undefined ? '' : ` --ca ${state.authority}`}`,
    keys: createKnownKeys(),
    issuing: new Map(),
    early: new Set(),
    onError: (error) => server.onError?.(error),
    onInvalid: (type, problem) => server.onInvalid?.(type, shortType(problem)),
  }
  const dispatcherOf = (base: URL, isRemote: boolean): Dispatcher => ({
    context: { ...context, urls: urlsBelow(base), isRemote },
    base,
    onAccount: (request, account) => server.onAccount?.(request, account),
  })
  const local = dispatcherOf(new URL(server.baseUrl), false)
  const remote =
    server.remoteUrl === undefined ? null : dispatcherOf(new URL(server.remoteUrl), true)
  await resumeValidations(context)
  const again = setInterval(
    () => void resumeValidations(context).catch(context.onError),
    options.validationMilliseconds,
  ).unref()
  return {
    async handler(request, response) {
      // A client of another machine can name localhost too, but not connect to it.
      const isRemote =
        remote !== null &&
        (hostOf(request) === hostnameOf(remote.base) ||
          !isLoopback(request.socket.localAddress ?? ''))
      const dispatcher = isRemote ? remote : local
      let limit: string | null = null
      const answer = await answerTo(dispatcher, request).catch((error: unknown) => {
        const problem = asProblem(error)
        limit = problem.limit ?? null
        if (problem.document.status >= 500) context.onError(problem.cause ?? error)
        return problemAnswer(problem)
      })
      const { status } = answer
      server.onAnswer?.(request, { status, problem: problemOf(answer), limit })
      respond(dispatcher.context, request, response, answer)
    },
    createEabKey: (keyOptions) => createEabKey(context, keyOptions),
    listEabKeys: () => listEabKeys(context),
    revokeEabKey: (kid) => revokeEabKey(context, kid),
    async close() {
      clearInterval(again)
      validator.close()
      await context.store.close()
    },
  }
}

const urlsBelow = (base: URL): Urls => createUrls(base.href.replace(/\/$/, ''))

/** Returns the host of a URL without the brackets of IPv6. */
const hostnameOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, '')

/** The parts that every request needs: the handlers' context, and the server's URL. */
interface Dispatcher {
  readonly context: AcmeContext
  readonly base: URL
  readonly onAccount: (request: Request, account: string) => void
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
 * Answers a signed request by one unit of work, the nonce included; again over a new unit, where it
 * conflicts with other requests.
 */
async function answerPost(
  { context, base, onAccount }: Dispatcher,
  request: Request,
  route: Route,
  ids: readonly string[],
): Promise<Answer> {
  checkContentType(request)
  const jws = parseJws(await readBody(request))
  algorithmOf(jws.header['alg'], null)
  const reference = keyReference(jws)
  checkUrl(jws, base.origin + (request.url ?? ''))
  const nonce = nonceOf(jws)
  context.limits.check('failedSignaturesPerMinute', clientOf(request.socket.remoteAddress))
  const ask: SignedAsk = {
    route,
    ids,
    jws,
    reference,
    nonce,
    connection: request.socket,
    onAccount: (account) => onAccount(request, account),
  }
  for (let attempt = 0; attempt < mostAttempts; attempt++) {
    const answer = await answerOnce(context, ask, attempt === 0)
    if (answer !== 'conflict') return answer
  }
  throw new AcmeProblem('serverInternal', 'Other requests for the same resources came first.', {
    status: 503,
    headers: { 'Retry-After': '1' },
  })
}

/** A signed request whose signature is not verified yet. */
interface SignedAsk {
  readonly route: Route
  readonly ids: readonly string[]
  readonly jws: Jws
  readonly reference: KeyReference
  readonly nonce: string
  readonly connection: Connection
  /** Called with the ID of the account that signs, once its signature is verified. */
  readonly onAccount: (account: string) => void
}

/**
 * Opens a unit, verifies the request (RFC 8555 §6.2 to §6.5), runs its handler, and commits what that
 * put. The nonce is used up last, so that a request that is refused before keeps it, as does one that is to
 * be sent again later because of a limit.
 */
async function answerOnce(
  context: AcmeContext,
  ask: SignedAsk,
  isFirst: boolean,
): Promise<Answer | 'conflict'> {
  const recent = isFirst ? openRecent(context, ask) : null
  const { unit, account, key, payload, nonce } =
    recent ?? (await readAtOnce(context, ask)) ?? (await openVerified(context, ask))
  const ends: ((isDone: boolean) => void)[] = []
  const atEnd = (end: (isDone: boolean) => void): void => void ends.push(end)
  let isDone = false
  try {
    let reply: Reply | AcmeProblem
    try {
      const eabKey = (): EabKey | undefined =>
        account === null ? undefined : keyOfAccount(unit, account, context.now())
      const step = await startStep(context, ask, { payload, account, key, eabKey, unit, atEnd })
      if (step === 'conflict') return step
      if (account !== null) checkUnchanged(account, unit)
      reply = step(unit)
    } catch (error) {
      if (!(error instanceof AcmeProblem)) throw error
      // It may be so no longer, and the next unit is read.
      if (recent !== null) return 'conflict'
      if (isRateLimited(error)) throw error
      reply = error
    }
    // Nothing is written for a stranger who is refused, and so not that the nonce was used either.
    if (account === null && reply instanceof AcmeProblem) throw reply
    const outcome = await unit.commit(nonce)
    if (outcome === 'conflict') return outcome
    if (outcome === 'replayed') throw badNonce()
    if (reply instanceof AcmeProblem) throw reply
    isDone = true
    return typeof reply === 'function' ? await reply() : reply
  } finally {
    for (const end of ends) end(isDone)
  }
}

/** A request that is verified, and the unit that was opened for it. */
interface Opened extends Pick<Verified, 'account' | 'key' | 'payload' | 'unit'> {
  /** The nonce for the commit to use up; `null`: it is used. */
  readonly nonce: string | null
}

async function openVerified(context: AcmeContext, ask: SignedAsk): Promise<Opened> {
  const { reference, nonce } = ask
  const unit = await context.store.open(needOf(context, ask))
  const account = 'kid' in reference ? findAccount(context, unit, reference.kid) : null
  const key = 'jwk' in reference ? reference.jwk : context.keys.of(account as Account)
  const payload = verify(context, ask, key)
  if (account !== null) ask.onAccount(account.id)
  if (!context.store.nonces.isOurs(nonce)) throw badNonce()
  return { unit, account, key, payload, nonce }
}

/**
 * Verifies a request that only reads by a key that is known, so that one step of the store uses up the
 * nonce and reads. `null`: this is no such request, or it may be refused, which `openVerified` decides.
 */
async function readAtOnce(context: AcmeContext, ask: SignedAsk): Promise<Opened | null> {
  const { store, urls, keys } = context
  const { reference, nonce, jws } = ask
  if (!isPostAsGet(jws) || !('kid' in reference) || !store.nonces.isOurs(nonce)) return null
  const key = keys.recent(urls.accountId(reference.kid) ?? '')
  if (key === undefined || verified(jws, key) === undefined) return null
  const unit = await store.read(needOf(context, ask), nonce)
  if (unit === null) throw badNonce()
  const account = findAccount(context, unit, reference.kid)
  ask.onAccount(account.id)
  if (keys.of(account) !== key) throw keyChanged()
  return { unit, account, key, payload: null, nonce: null }
}

/**
 * Verifies a request over what is known without reading. `null`: that is not enough, or it may be
 * refused, which `openVerified` decides.
 */
function openRecent(context: AcmeContext, ask: SignedAsk): Opened | null {
  const { store, urls, keys } = context
  const { reference, nonce, jws } = ask
  if (!('kid' in reference) || !store.nonces.isOurs(nonce)) return null
  const unit = store.openRecent?.(needOf(context, ask)) ?? null
  const account = unit?.get('account', urls.accountId(reference.kid) ?? '')
  if (unit === null || account?.status !== 'valid') return null
  const key = keys.of(account)
  const payload = verified(jws, key)
  if (payload === undefined) return null
  ask.onAccount(account.id)
  return { unit, account, key, payload, nonce }
}

/** Returns the payload; `undefined`: the signature, or something else, is wrong. */
function verified(jws: Jws, key: AccountKey): ReturnType<typeof verifyJws> | undefined {
  try {
    return verifyJws(jws, key)
  } catch {
    return undefined
  }
}

/** Verifies the signature; counts a wrong one for the address that it came from. */
function verify(
  { limits }: AcmeContext,
  { jws, connection }: SignedAsk,
  key: AccountKey,
): Readonly<Record<string, unknown>> | null {
  try {
    return verifyJws(jws, key)
  } catch (error) {
    limits.count('failedSignaturesPerMinute', clientOf(connection.remoteAddress))
    throw error
  }
}

/** Returns what the store has to read: the account that signs, and what the route looks at. */
function needOf({ urls }: AcmeContext, { route, ids, jws, reference }: SignedAsk): Need {
  const account = 'kid' in reference ? (urls.accountId(reference.kid) ?? undefined) : undefined
  const key = 'jwk' in reference ? reference.jwk : undefined
  const more = route.need?.({
    ids,
    account,
    key,
    get payload() {
      return peekPayload(jws)
    },
  })
  return { account, ...more }
}

/**
 * Begins the handler; `conflict`: all is to begin anew. Throws malformed where it is for the other kind of
 * signature.
 */
function startStep(
  context: AcmeContext,
  { route, ids, connection }: SignedAsk,
  { account, key, eabKey, ...signed }: Verified,
): ReturnType<NonNullable<Route['byAccount']>> {
  if (account === null) {
    if (route.byKey !== undefined) return route.byKey(context, { ...signed, connection }, key)
    throw malformed('Sign this request for an account: with kid, not with jwk.')
  }
  if (route.byAccount !== undefined)
    return route.byAccount(context, { ...signed, connection, account, key, eabKey }, ...ids)
  throw malformed('Sign this request with the key itself: with jwk, not with kid.')
}

interface Verified extends Omit<Signed, 'connection'> {
  /** `null`: the request shows its key. */
  readonly account: Account | null
  readonly key: AccountKey
  readonly eabKey: SignedByAccount['eabKey']
}

const badNonce = (): AcmeProblem =>
  new AcmeProblem('badNonce', 'The nonce is not one of this server, or was used before.')

/** A handler may have waited, and meanwhile the account changed, where the unit shows that. */
function checkUnchanged({ id, thumbprint }: Account, unit: Unit): void {
  const account = unit.get('account', id)
  if (account?.status !== 'valid') throw deactivated()
  if (account.thumbprint !== thumbprint) throw keyChanged()
}

const keyChanged = (): AcmeProblem => unauthorized('The key of the account has changed.')
const deactivated = (): AcmeProblem => unauthorized('The account is deactivated.')

function findAccount({ urls }: AcmeContext, unit: Unit, kid: string): Account {
  const account = unit.get('account', urls.accountId(kid) ?? '')
  if (account === undefined)
    throw new AcmeProblem('accountDoesNotExist', `There is no account ${kid.slice(0, 200)} here.`)
  if (account.status === 'valid') return account
  throw deactivated()
}

/** Returns the type of the problem that an answer shows; `null`: it shows none. */
function problemOf({ contentType, body }: Answer): string | null {
  if (contentType !== problemType || typeof body !== 'object') return null
  return 'type' in body && typeof body.type === 'string' ? shortType(body.type) : null
}

/** Returns a type of problem without its namespace. */
const shortType = (type: string): string => type.slice(type.lastIndexOf(':') + 1)

const problemType = 'application/problem+json'

function problemAnswer({ document, headers }: AcmeProblem): Answer {
  return {
    status: document.status,
    contentType: problemType,
    headers,
    body: document,
  }
}

function respond(
  { urls, store }: AcmeContext,
  request: Request,
  response: Response,
  answer: Answer,
): void {
  const link = answer.headers?.['Link']
  const index = `<${urls.directory}>;rel="index"`
  const isDirectory = urls.directory.endsWith(request.url ?? '') && answer.status === 200
  const headers = {
    ...answer.headers,
    ...(isDirectory ? {} : { Link: link === undefined ? index : [index, link].flat() }),
    'Replay-Nonce': store.nonces.make(),
  }
  send(request, response, { ...answer, headers })
}
