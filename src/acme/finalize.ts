import { RootlingError } from '../errors.ts'
import { readRequestDer, type Request } from '../x509/request.ts'
import type { SignedCertificate } from './acme-authority.ts'
import { newId, type AcmeContext, type Answer, type SignedByAccount } from './context.ts'
import { answerWith, datesOf, ownOrder, statusOf } from './orders.ts'
import { octets } from './payload.ts'
import { AcmeProblem, asProblem, detailOf, malformed } from './problems.ts'
import { findByCertId } from './renewal-info.ts'
import type { AcmeIdentifier, Order, StoredCertificate } from './resources.ts'

/** Issues the certificate of an order that is ready, and answers afterwards (RFC 8555 §7.4). */
export async function finalizeOrder(
  context: AcmeContext,
  request: SignedByAccount,
  id: string,
): Promise<Answer> {
  const { store, issuing } = context
  const order = ownOrder(context, request, id)
  if (request.payload === null) throw malformed('To finalize, send a payload with a csr.')
  const status = statusOf(context, order)
  if (status !== 'ready')
    throw new AcmeProblem('orderNotReady', `The order is ${status}${because(status)}.`)
  const csr = readCsr(octets(request.payload, 'csr'), order.identifiers)
  if (csr.publicKey.equals(request.key.publicKey))
    throw badCsr("The request's key is the account's; a certificate needs a key of its own.")
  issuing.add(id)
  try {
    const certificate = await issue(context, order, csr)
    store.put('order', { ...order, certificateId: certificate.id })
    markReplaced(context, order)
  } catch (error) {
    const problem = refusalOf(error)
    if (problem === null) throw error
    store.put('order', { ...order, error: problem.document })
    throw problem
  } finally {
    issuing.delete(id)
  }
  return answerWith(context, store.get('order', id) ?? order, 200)
}

function because(status: string): string {
  switch (status) {
    case 'pending':
      return ': its authorizations are not all valid yet'
    case 'valid':
      return ': its certificate was issued already'
    case 'processing':
      return ': its certificate is being issued'
    default:
      return ''
  }
}

/**
 * Issues the certificate of an order. It is signed, stored here, recorded by the authority, and
 * only then given to the client.
 */
async function issue(
  { store, authority, profiles, now }: AcmeContext,
  order: Order,
  csr: Request,
): Promise<StoredCertificate> {
  let stored: StoredCertificate | null = null
  const id = newId()
  const onSigned = async (signed: SignedCertificate): Promise<void> => {
    const { notBefore, notAfter, ...rest } = signed
    stored = {
      ...rest,
      id,
      accountId: order.accountId,
      orderId: order.id,
      identifiers: order.identifiers,
      notBefore: notBefore.getTime(),
      notAfter: notAfter.getTime(),
    }
    store.put('certificate', stored)
    await store.saved()
  }
  const { spki, keyType } = csr
  const dates = datesOf(order, { profiles }, now().getTime())
  const days = profiles.get(order.profile)?.days ?? 90
  const { identifiers } = order
  try {
    await authority.issue({ identifiers, spki, keyType, days, dates, onSigned })
  } catch (error) {
    await forget(stored)
    throw error
  }
  if (stored === null) throw new TypeError('the authority did not show what it signed')
  return stored

  async function forget(certificate: StoredCertificate | null): Promise<void> {
    if (certificate === null) return
    const recorded = await authority.isRecorded(certificate.serialNumber).catch(() => true)
    if (!recorded) store.delete('certificate', certificate.id)
  }
}

/**
 * Completes the orders for which a killed server had signed a certificate, but not yet answered. A
 * certificate that is on record is given to its order, and one that is not is deleted.
 */
export async function completeOrders({ store, authority }: AcmeContext): Promise<void> {
  for (const certificate of store.all('certificate')) {
    const order = store.get('order', certificate.orderId)
    if (order === undefined || order.certificateId !== undefined) continue
    if (await authority.isRecorded(certificate.serialNumber))
      store.put('order', { ...order, certificateId: certificate.id })
    else store.delete('certificate', certificate.id)
  }
}

function markReplaced({ store }: AcmeContext, { replaces, id }: Order): void {
  const replaced = replaces === undefined ? null : findByCertId(store, replaces)
  if (replaced !== null && replaced !== undefined)
    store.put('certificate', { ...replaced, replacedBy: id })
}

/**
 * Returns the problem for a fault of the order that shows only when it is issued, such as a
 * forgotten scope; `null` for any other error.
 */
function refusalOf(error: unknown): AcmeProblem | null {
  if (!(error instanceof RootlingError)) return null
  if (error.code !== 'not-permitted' && error.code !== 'bad-name') return null
  return new AcmeProblem('rejectedIdentifier', detailOf(error), { cause: error })
}

/**
 * Reads a CSR, which must ask for exactly the order's identifiers (RFC 8555 §7.4). Throws badCSR.
 */
function readCsr(der: Buffer, identifiers: readonly AcmeIdentifier[]): Request {
  let request: Request
  try {
    request = readRequestDer(der)
  } catch (error) {
    if (error instanceof RootlingError) throw badCsr(detailOf(error), error)
    throw asProblem(error)
  }
  const asked = new Set(request.names.map(({ type, value }) => `${type}:${value}`))
  const ordered = new Set(identifiers.map(({ type, value }) => `${type}:${value}`))
  const values = new Set(identifiers.map(({ value }) => value))
  const beyond = [
    ...[...asked].filter((name) => !ordered.has(name)).map((name) => name.replace(/^[a-z]+:/, '')),
    ...request.commonNames.filter((name) => !values.has(name.toLowerCase())),
  ]
  if (beyond.length > 0)
    throw badCsr(
      `The request asks for ${beyond.join(', ').slice(0, 300)}, which the order does not.`,
    )
  const missing = identifiers.filter(({ type, value }) => !asked.has(`${type}:${value}`))
  if (missing.length > 0)
    throw badCsr(`The request leaves out ${missing.map(({ value }) => value).join(', ')}.`)
  return request
}

function badCsr(detail: string, cause?: unknown): AcmeProblem {
  return new AcmeProblem('badCSR', detail, { cause })
}
