import { RootlingError } from '../errors.ts'
import { parseIdentifier } from '../x509/identifier.ts'
import {
  newId,
  type Answer,
  type AcmeContext,
  type Signed,
  type SignedByAccount,
  type Step,
} from './context.ts'
import { checkBinding, whoNeedsBinding } from './external-account.ts'
import { checkUrl, keyReference, parseJws, verifyJws, type Jws } from './jws.ts'
import { readJwk, thumbprintOf, type AccountKey } from './keys.ts'
import { clientOf } from './limits.ts'
import { flag, list, text } from './payload.ts'
import { AcmeProblem, malformed, unauthorized } from './problems.ts'
import type { Account } from './resources.ts'

/**
 * Creates the account of a key, or returns the one that exists (RFC 8555 §7.3). Unknown members are
 * ignored.
 */
export async function newAccount(
  context: AcmeContext,
  { payload, connection, atEnd }: Signed,
  key: AccountKey,
): Promise<Step> {
  if (payload === null) throw malformed('A new account needs a payload: {} is enough.')
  const { options, limits } = context
  const thumbprint = thumbprintOf(key.jwk)
  const whose = await whoNeedsBinding(context, payload, connection)
  return (unit) => {
    const existing = unit.accountByThumbprint(thumbprint)
    if (existing !== undefined) {
      if (existing.status !== 'valid') throw unauthorized('The account of this key is deactivated.')
      return answerWith(context, existing, 200)
    }
    if (flag(payload, 'onlyReturnExisting') === true)
      throw new AcmeProblem('accountDoesNotExist', 'There is no account with this key.')
    const contact = readContact(payload) ?? []
    const termsOfServiceAgreed = flag(payload, 'termsOfServiceAgreed') ?? false
    if (options.termsOfService !== undefined && !termsOfServiceAgreed)
      throw malformed(`A new account has to agree to the terms at ${options.termsOfService}.`)
    const bound = checkBinding(context, unit, { payload, key, whose })
    const account: Account = {
      id: newId(),
      status: 'valid',
      jwk: key.jwk,
      thumbprint,
      contact,
      termsOfServiceAgreed,
      createdAt: context.now().getTime(),
      ...(bound === null ? {} : { externalAccountBinding: bound.jws, eabKeyId: bound.boundTo.id }),
    }
    if (bound?.boundTo.uses !== undefined)
      unit.put('eabKey', { ...bound.boundTo, uses: bound.boundTo.uses - 1 })
    const from = clientOf(connection.remoteAddress)
    limits.check('newAccountsPerHour', from)
    limits.count('newAccountsPerHour', from)
    atEnd((isDone) => {
      if (!isDone) limits.giveBack('newAccountsPerHour', from)
    })
    unit.put('account', account)
    return answerWith(context, account, 201)
  }
}

/** Changes the contacts of an account, or deactivates it (RFC 8555 §7.3.2 and §7.3.6). */
export function updateAccount(context: AcmeContext, request: SignedByAccount, id: string): Step {
  const { payload, account } = request
  if (account.id !== id) throw unauthorized('This is the account of another key.')
  return (unit) => {
    const current = unit.get('account', id) ?? account
    if (payload === null) return answerWith(context, current, 200)
    const contact = readContact(payload)
    const status = text(payload, 'status')
    if (status !== undefined && status !== 'deactivated' && status !== 'valid')
      throw malformed('The status of an account can only become "deactivated".')
    const changed: Account = {
      ...current,
      ...(contact === undefined ? {} : { contact }),
      ...(status === 'deactivated' ? { status } : {}),
    }
    unit.put('account', changed)
    return answerWith(context, changed, 200)
  }
}

/**
 * Gives an account a new key (RFC 8555 §7.3.5). The request, signed by the old key, holds one
 * signed by the new key.
 */
export async function keyChange(context: AcmeContext, request: SignedByAccount): Promise<Step> {
  const { urls } = context
  const { payload, account } = request
  if (payload === null) throw malformed('The payload is not a JWS by the new key.')
  const { inner, jwk } = readKeyChange(payload)
  checkUrl(inner, urls.keyChange)
  if ('nonce' in inner.header) throw malformed('The inner JWS has a nonce, which it must not.')
  const change = verifyJws(inner, jwk)
  if (change === null || text(change, 'account') !== urls.account(account.id))
    throw malformed('The inner JWS does not name the account that the outer one is signed for.')
  const oldKey = thumbprintOf(readJwk(change['oldKey']).jwk)
  const newKey = thumbprintOf(jwk.jwk)
  return (unit) => {
    const current = unit.get('account', account.id) ?? account
    if (oldKey !== current.thumbprint) throw malformed('The oldKey is not the key of the account.')
    const holder = unit.accountByThumbprint(newKey)
    if (holder !== undefined)
      throw malformed('The new key is in use by an account already.', {
        status: 409,
        headers: { Location: urls.account(holder.id) },
      })
    const changed: Account = { ...current, jwk: jwk.jwk, thumbprint: newKey }
    unit.put('account', changed)
    return answerWith(context, changed, 200)
  }
}

/** Reads the JWS by the new key in the payload of a key change. Throws malformed. */
export function readKeyChange(payload: object): { inner: Jws; jwk: AccountKey } {
  const inner = parseJws(JSON.stringify(payload))
  const reference = keyReference(inner)
  if (!('jwk' in reference)) throw malformed('The inner JWS has no jwk.')
  return { inner, jwk: reference.jwk }
}

function answerWith({ urls }: AcmeContext, account: Account, status: number): Answer {
  const { contact, termsOfServiceAgreed, externalAccountBinding, jwk } = account
  return {
    status,
    headers: { Location: urls.account(account.id) },
    body: {
      status: account.status,
      ...(contact.length === 0 ? {} : { contact }),
      ...(termsOfServiceAgreed ? { termsOfServiceAgreed } : {}),
      ...(externalAccountBinding === undefined ? {} : { externalAccountBinding }),
      orders: urls.orders(account.id),
      key: jwk,
    },
  }
}

/**
 * Reads the contacts of an account (RFC 8555 §7.3). Only mailto: URLs are allowed, each of one
 * address and without header fields.
 */
function readContact(payload: Readonly<Record<string, unknown>>): string[] | undefined {
  const contacts = list(payload, 'contact')
  if (contacts === undefined) return undefined
  if (contacts.length > 10) throw malformed('More than ten contacts are too many.')
  return contacts.map((contact) => {
    if (typeof contact !== 'string') throw malformed('A contact is not a string.')
    const shown = JSON.stringify(contact.slice(0, 100))
    if (!/^[a-z][a-z0-9+.-]*:/i.test(contact) || contact.length > 320)
      throw new AcmeProblem('invalidContact', `The contact ${shown} is not a URL.`)
    if (!/^mailto:/i.test(contact))
      throw new AcmeProblem('unsupportedContact', `The contact ${shown} is not a mailto: URL.`)
    if (isMailbox(contact.slice('mailto:'.length))) return contact
    throw new AcmeProblem('invalidContact', `The contact ${shown} is not one e-mail address.`)
  })
}

function isMailbox(address: string): boolean {
  if (/[?,%\s]/.test(address)) return false
  try {
    return parseIdentifier(address).type === 'email'
  } catch (error) {
    if (error instanceof RootlingError) return false
    throw error
  }
}
