import { bounds, rateLimited } from './store/bounds.ts'
import { newId, type AcmeContext, type Answer, type SignedByAccount, type Step } from './context.ts'
import type { Validity } from '../x509/profiles.ts'
import { checkKeyPermits, keyOfAccount } from './eab-keys.ts'
import { checkPermitted, readIdentifiers, throwFaults } from './identifiers.ts'
import type { ResolvedOptions } from './options.ts'
import { fitsPattern } from './name-patterns.ts'
import { list, text, time } from './payload.ts'
import { AcmeProblem, malformed, notFound, unauthorized } from './problems.ts'
import { replacedCertificate } from './renewal-info.ts'
import {
  orderStatus,
  tokenOf,
  type AcmeIdentifier,
  type Authorization,
  type Challenge,
  type ChallengeType,
  type EabKey,
  type Order,
  type OrderStatus,
} from './resources.ts'
import { mostOrders, type Unit } from './store/contract.ts'
import { isLoopback } from './validation/addresses.ts'

const day = 86_400_000
/** How long an order waits for its authorizations, in milliseconds. */
const orderLifetime = 7 * day
/** The longest lifetime that an order may ask for, whatever its profile. */
const longestDays = 397

/**
 * Creates an order (RFC 8555 §7.4), with profiles (draft-ietf-acme-profiles) and `replaces` (RFC
 * 9773 §5).
 */
export async function newOrder(
  context: AcmeContext,
  { payload, account, eabKey, atEnd }: SignedByAccount,
): Promise<Step> {
  if (payload === null) throw malformed('A new order needs a payload.')
  const { now } = context
  const identifiers = readIdentifiers(list(payload, 'identifiers'))
  const profile = readProfile(context, text(payload, 'profile'), eabKey())
  const [notBefore, notAfter] = [time(payload, 'notBefore'), time(payload, 'notAfter')]
  const replaces = text(payload, 'replaces')
  const asked = {
    ...(notBefore === undefined ? {} : { notBefore }),
    ...(notAfter === undefined ? {} : { notAfter }),
    ...(replaces === undefined ? {} : { replaces }),
  }
  const createdAt = now().getTime()
  const dates = datesOf({ ...asked, profile }, context, createdAt)
  if (dates !== null) checkDates(dates, createdAt)
  checkNotLoopback(context, identifiers)
  checkProvable(context, identifiers, vouched(context, eabKey()))
  limitOrders(context, account.id, identifiers.length, atEnd)
  await checkPermitted(context.authority, identifiers, dates)
  return (unit) => {
    const key = keyOfAccount(unit, account, now())
    if (key !== undefined) checkKeyPermits(key, identifiers, profile)
    checkOpenNames(context, unit, account.id, identifiers.length)
    if (replaces !== undefined) replacedCertificate(unit, replaces, account, identifiers)
    const expires = createdAt + orderLifetime
    const authorizations = identifiers.map((identifier) =>
      newAuthorization(context, account.id, identifier, {
        expires,
        isVouched: vouched(context, key),
      }),
    )
    const order: Order = {
      id: newId(),
      accountId: account.id,
      identifiers,
      authorizationIds: authorizations.map(({ id }) => id),
      createdAt,
      expires,
      profile,
      ...asked,
    }
    for (const authorization of authorizations) unit.put('authorization', authorization)
    unit.put('order', order)
    return answerWith(context, unit, order, 201)
  }
}

/** Counts an order unless the request fails. Throws rateLimited. */
function limitOrders(
  { limits }: AcmeContext,
  accountId: string,
  names: number,
  atEnd: SignedByAccount['atEnd'],
): void {
  limits.check('ordersPerHour', accountId)
  limits.check('namesPerHour', accountId)
  limits.count('ordersPerHour', accountId)
  limits.count('namesPerHour', accountId, names)
  atEnd((isDone) => {
    if (isDone) return
    limits.giveBack('ordersPerHour', accountId)
    limits.giveBack('namesPerHour', accountId, names)
  })
}

/** Shows an order (RFC 8555 §7.1.3). */
export function getOrder(context: AcmeContext, request: SignedByAccount, id: string): Step {
  return (unit) => answerWith(context, unit, ownOrder(unit, request, id), 200)
}

/** Returns an order of the account that signed the request. Throws notFound or unauthorized. */
export function ownOrder(unit: Unit, { account }: SignedByAccount, id: string): Order {
  const order = unit.get('order', id)
  if (order === undefined) throw notFound('There is no such order.')
  if (order.accountId !== account.id) throw unauthorized('This is the order of another account.')
  return order
}

export function statusOf({ issuing, now }: AcmeContext, unit: Unit, order: Order): OrderStatus {
  if (order.certificateId !== undefined) return 'valid'
  return issuing.has(order.id) ? 'processing' : storedStatus(unit, order, now())
}

/** Derives the status of an order from the store alone: never `processing`. */
export function storedStatus(
  unit: Unit,
  order: Order,
  now: Date,
): Exclude<OrderStatus, 'processing'> {
  const authorizations = order.authorizationIds.flatMap((id) => unit.get('authorization', id) ?? [])
  return orderStatus(order, authorizations, now.getTime())
}

export function answerWith(context: AcmeContext, unit: Unit, order: Order, status: number): Answer {
  const { urls } = context
  const derived = statusOf(context, unit, order)
  const { notBefore, notAfter, replaces, error, certificateId } = order
  return {
    status,
    headers: {
      Location: urls.order(order.id),
      ...(derived === 'processing' ? { 'Retry-After': '1' } : {}),
    },
    body: {
      status: derived,
      expires: rfc3339(order.expires),
      identifiers: order.identifiers,
      profile: order.profile,
      ...(notBefore === undefined ? {} : { notBefore: rfc3339(notBefore) }),
      ...(notAfter === undefined ? {} : { notAfter: rfc3339(notAfter) }),
      ...(replaces === undefined ? {} : { replaces }),
      ...(error === undefined ? {} : { error }),
      authorizations: order.authorizationIds.map(urls.authorization),
      finalize: urls.finalize(order.id),
      ...(certificateId === undefined ? {} : { certificate: urls.certificate(certificateId) }),
    },
  }
}

/** Formats a time to the second: some clients cannot read fractions. */
export const rfc3339 = (milliseconds: number): string =>
  new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z')

const pageLength = mostOrders - 1

/**
 * Lists an account's orders in pages, the latest first, without the invalid ones (RFC 8555 §7.1.2.1).
 * `before`: the last order of the page before.
 */
export function listOrders(
  context: AcmeContext,
  { account }: SignedByAccount,
  accountId: string,
  before?: string,
): Step {
  if (account.id !== accountId) throw unauthorized('These are the orders of another account.')
  const { urls } = context
  return (unit) => {
    const orders = unit.ordersOf(accountId, before)
    const page = orders.slice(0, pageLength)
    const last = page.at(-1)
    const shown = page.filter((order) => statusOf(context, unit, order) !== 'invalid')
    return {
      status: 200,
      body: { orders: shown.map(({ id }) => urls.order(id)) },
      ...(last !== undefined && orders.length > pageLength
        ? { headers: { Link: `<${urls.orders(accountId, last.id)}>;rel="next"` } }
        : {}),
    }
  }
}

/**
 * Throws rateLimited (RFC 8555 §6.6) when an account has too many names in orders that wait or that
 * failed within the hour.
 */
function checkOpenNames(context: AcmeContext, unit: Unit, accountId: string, more: number): void {
  const { unfinished } = unit
  if (unfinished.namesOf(accountId) + more <= bounds.namesOfAccount) return
  const recent = context.now().getTime() - day / 24
  const names = unfinished
    .ordersOf(accountId)
    .flatMap((id) => unit.get('order', id) ?? [])
    .filter((order) => order.createdAt > recent || statusOf(context, unit, order) !== 'invalid')
    .reduce((sum, { identifiers }) => sum + identifiers.length, more)
  if (names <= bounds.namesOfAccount) return
  throw rateLimited(
    'namesOfAccount',
    `This account has more than ${bounds.namesOfAccount} names in orders that wait or that failed within the hour: finalize them, or deactivate their authorizations and wait.`,
    60,
  )
}

function readProfile(
  { profiles }: AcmeContext,
  asked: string | undefined,
  key: EabKey | undefined,
): string {
  const own = key?.profiles?.includes('default') === false ? key.profiles[0] : undefined
  if (asked === undefined && own === undefined) return 'default'
  const name = asked ?? own ?? 'default'
  if (profiles.has(name)) return name
  throw new AcmeProblem(
    'invalidProfile',
    `There is no profile ${name.slice(0, 60)}; the profiles are ${[...profiles.keys()].join(', ')}.`,
  )
}

/** Returns the exact validity that an order asks for; `null` when it asks for none. */
export function datesOf(
  { notBefore, notAfter, profile }: Pick<Order, 'notBefore' | 'notAfter' | 'profile'>,
  { profiles }: Pick<AcmeContext, 'profiles'>,
  now: number,
): Validity | null {
  if (notBefore === undefined && notAfter === undefined) return null
  const second = (milliseconds: number): number => Math.floor(milliseconds / 1000) * 1000
  // The default start is an hour back, for clients whose clock is behind.
  const start = second(notBefore ?? now - 3_600_000)
  const end = second(notAfter ?? start + (profiles.get(profile)?.days ?? 90) * day - 1000)
  return { notBefore: new Date(start), notAfter: new Date(end) }
}

/**
 * Refuses dates that no certificate can have exactly as the order asks (RFC 8555 §7.4). Throws
 * malformed.
 */
function checkDates({ notBefore, notAfter }: Validity, now: number): void {
  if (notAfter.getTime() <= notBefore.getTime()) throw malformed('notAfter is not after notBefore.')
  if (notAfter.getTime() <= now) throw malformed('notAfter is in the past.')
  if (notBefore.getTime() < now - day) throw malformed('notBefore is more than a day in the past.')
  if (notBefore.getTime() > now + longestDays * day)
    throw malformed('notBefore is more than a year away.')
  if (notAfter.getTime() - notBefore.getTime() >= longestDays * day)
    throw malformed(`A certificate is valid for ${longestDays} days at most.`)
}

/**
 * Returns the challenges that can prove an identifier: dns-01 needs a resolver, the others need a
 * port.
 */
function challengesFor(
  { http01Port, tlsAlpn01Port, dnsResolver }: ResolvedOptions,
  { type, value }: AcmeIdentifier,
): ChallengeType[] {
  const offered: ChallengeType[] = []
  if (!value.startsWith('*.') && http01Port !== 0) offered.push('http-01')
  if (!value.startsWith('*.') && tlsAlpn01Port !== 0) offered.push('tls-alpn-01')
  // An address has no TXT record (RFC 8738 §7).
  if (type === 'dns' && dnsResolver !== undefined) offered.push('dns-01')
  return offered
}

/**
 * Refuses loopback names to clients of other machines: they mean the client's machine there, and this
 * one here, whose servers would prove them.
 */
function checkNotLoopback({ isRemote }: AcmeContext, identifiers: readonly AcmeIdentifier[]): void {
  if (!isRemote) return
  throwFaults(
    identifiers
      .filter(({ value }) => isLoopback(value.replace(/^\*\./, '')))
      .map((identifier) => ({
        type: 'rejectedIdentifier',
        detail: `${identifier.value} names the machine that uses it, and this server proves it only to clients of its own machine: order it at https://localhost, or use another name.`,
        identifier,
      })),
  )
}

/** Refuses identifiers that no challenge can prove: their order could only expire. */
function checkProvable(
  { options }: AcmeContext,
  identifiers: readonly AcmeIdentifier[],
  isVouched: (identifier: AcmeIdentifier) => boolean,
): void {
  throwFaults(
    identifiers
      .filter((identifier) => !isVouched(identifier))
      .filter((identifier) => challengesFor(options, identifier).length === 0)
      .map((identifier) => ({
        type: 'rejectedIdentifier',
        detail: identifier.value.startsWith('*.')
          ? `A wildcard such as ${identifier.value} is proven by dns-01 alone, and this server was given no resolver to ask: start it with --dns-resolver.`
          : `Nothing proves ${identifier.value}, since this server was given no port for http-01 and tls-alpn-01: start it with --http01-port.`,
        identifier,
      })),
  )
}

/**
 * Tells for which names the key of an account stands in for a challenge (RFC 8555 §7.4.1 allows it). A
 * server for other machines takes no key for loopback names, such as an earlier one or a wide range, nor
 * for its own name, whose holder could pass for it.
 */
const vouched =
  ({ options, urls }: AcmeContext, key: EabKey | undefined) =>
  (identifier: AcmeIdentifier): boolean => {
    if (!fitsPattern(identifier, key?.preauthorized ?? [])) return false
    if (options.validation === undefined) return true
    const name = identifier.value.replace(/^\*\./, '')
    const own = new URL(urls.directory).hostname.replace(/^\[|\]$/g, '')
    const isOfOwn = name === own || (identifier.value !== name && own.endsWith(`.${name}`))
    return !isLoopback(name) && !isOfOwn
  }

function newAuthorization(
  { options }: AcmeContext,
  accountId: string,
  identifier: AcmeIdentifier,
  { expires, isVouched }: { expires: number; isVouched: (identifier: AcmeIdentifier) => boolean },
): Authorization {
  const { type, value } = identifier
  const wildcard = value.startsWith('*.')
  const id = newId()
  const proof = isVouched(identifier)
    ? { preauthorized: true as const, challenges: [] }
    : { challenges: challengesFor(options, identifier).map((one) => newChallenge(id, one)) }
  return {
    id,
    accountId,
    identifier: { type, value: wildcard ? value.slice(2) : value },
    wildcard,
    expires,
    deactivated: false,
    ...proof,
  }
}

/** Makes a challenge. An authorization has one of each type, so that the type is its ID. */
const newChallenge = (authorizationId: string, type: ChallengeType): Challenge => ({
  id: type,
  type,
  token: tokenOf(authorizationId, type),
})
