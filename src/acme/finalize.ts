import { createHash } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import { parseIdentifier } from '../x509/identifier.ts'
import { isSameKey } from '../x509/keys.ts'
import { readRequestDer, type Request } from '../x509/request.ts'
import type { IssuedCertificate } from './acme-authority.ts'
import { newId, type AcmeContext, type SignedByAccount, type Step } from './context.ts'
import { keyOfAccount } from './eab-keys.ts'
import { answerWith, datesOf, ownOrder, statusOf, storedStatus } from './orders.ts'
import { octets } from './payload.ts'
import { AcmeProblem, asProblem, detailOf, malformed } from './problems.ts'
import { findByCertId } from './renewal-info.ts'
import type { AcmeIdentifier, Order, StoredCertificate } from './resources.ts'
import type { Unit } from './store/contract.ts'

/**
 * Issues the certificate of an order that is ready, and answers afterwards (RFC 8555 §7.4). The
 * certificate is signed first; one unit then gives it to the order and to the record. A request that is
 * repeated with the same CSR is answered again: its client has lost the answer.
 */
export async function finalizeOrder(
  context: AcmeContext,
  request: SignedByAccount,
  id: string,
): Promise<Step | 'conflict'> {
  const prepared = await prepare(context, request, id)
  if (prepared === 'conflict') return prepared
  const { csrDigest, signed } = prepared
  return (unit) => {
    const order = ownOrder(unit, request, id)
    if (order.certificateId !== undefined && order.csrDigest === csrDigest)
      return answerWith(context, unit, order, 200)
    keyOfAccount(unit, request.account, context.now())
    const status = storedStatus(unit, order, context.now())
    if (status !== 'ready') throw notReady(status)
    if (signed === null) throw notReady('processing')
    if (signed instanceof AcmeProblem) {
      unit.put('order', { ...order, error: signed.document })
      throw signed
    }
    const certificate = certificateOf(order, signed)
    const finished: Order = { ...order, certificateId: certificate.id, csrDigest }
    unit.put('certificate', certificate)
    unit.put('order', finished)
    markReplaced(unit, order)
    unit.record(signed.recording)
    return answerWith(context, unit, finished, 200)
  }
}

interface Prepared {
  readonly csrDigest: string
  /**
   * The certificate, which is not on record yet; a problem of the order that shows only when it is
   * signed; `null`: the order was not ready.
   */
  readonly signed: IssuedCertificate | AcmeProblem | null
}

/**
 * Checks a CSR and signs the certificate. While another request of this process with the same CSR does
 * that, it waits, and answers `conflict`.
 */
async function prepare(
  context: AcmeContext,
  request: SignedByAccount,
  id: string,
): Promise<Prepared | 'conflict'> {
  const { issuing } = context
  const { unit, payload, key } = request
  const order = ownOrder(unit, request, id)
  if (payload === null) throw malformed('To finalize, send a payload with a csr.')
  const der = octets(payload, 'csr')
  const csrDigest = createHash('sha256').update(der).digest('base64url')
  const other = issuing.get(id)
  if (other?.csrDigest === csrDigest) {
    await other.ended
    return 'conflict'
  }
  if (statusOf(context, unit, order) !== 'ready') return { csrDigest, signed: null }
  const csr = readCsr(der, order.identifiers)
  if (isSameKey(csr.publicKey, key.publicKey))
    throw badCsr("The request's key is the account's; a certificate needs a key of its own.")
  const ended = new Promise<void>((resolve) =>
    request.atEnd(() => {
      issuing.delete(id)
      resolve()
    }),
  )
  issuing.set(id, { csrDigest, ended })
  return { csrDigest, signed: await sign(context, order, csr) }
}

async function sign(
  { authority, profiles, now }: AcmeContext,
  order: Order,
  { spki, keyType }: Request,
): Promise<IssuedCertificate | AcmeProblem> {
  const dates = datesOf(order, { profiles }, now().getTime())
  const days = profiles.get(order.profile)?.days ?? 90
  const { identifiers } = order
  try {
    return await authority.sign({ identifiers, spki, keyType, days, dates })
  } catch (error) {
    const problem = refusalOf(error)
    if (problem !== null) return problem
    throw error
  }
}

function certificateOf(order: Order, signed: IssuedCertificate): StoredCertificate {
  const { serialNumber, notBefore, notAfter, leaf, issuers, issuerKeyIdentifier } = signed
  return {
    id: newId(),
    accountId: order.accountId,
    orderId: order.id,
    identifiers: order.identifiers,
    serialNumber,
    notBefore: notBefore.getTime(),
    notAfter: notAfter.getTime(),
    leaf,
    issuers,
    issuerKeyIdentifier,
  }
}

const notReady = (status: string): AcmeProblem =>
  new AcmeProblem('orderNotReady', `The order is ${status}${because(status)}.`)

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

function markReplaced(unit: Unit, { replaces, id }: Order): void {
  const replaced = replaces === undefined ? null : findByCertId(unit, replaces)
  if (replaced !== null && replaced !== undefined)
    unit.put('certificate', { ...replaced, replacedBy: id })
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
    ...request.commonNames.filter((name) => !values.has(oneSpelling(name))),
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

/**
 * Returns a common name as identifiers are spelled, where it is one: clients write there what their user
 * typed, such as a U-label or all groups of an IPv6 address.
 */
function oneSpelling(commonName: string): string {
  try {
    return parseIdentifier(commonName).value
  } catch (error) {
    if (error instanceof RootlingError) return commonName
    throw error
  }
}

function badCsr(detail: string, cause?: unknown): AcmeProblem {
  return new AcmeProblem('badCSR', detail, { cause })
}
