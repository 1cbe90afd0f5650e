import { keyChange, newAccount, readKeyChange, updateAccount } from './accounts.ts'
import { getAuthorization, respondToChallenge } from './authorizations.ts'
import { readCertId } from './cert-id.ts'
import { getCertificate, getIssuer, postIssuer } from './certificates.ts'
import type { AcmeContext, Answer, Signed, SignedByAccount, Step } from './context.ts'
import { boundTo } from './external-account.ts'
import { finalizeOrder } from './finalize.ts'
import { thumbprintOf, type AccountKey } from './keys.ts'
import { getOrder, listOrders, newOrder } from './orders.ts'
import { malformed } from './problems.ts'
import { renewalInfo } from './renewal-info.ts'
import { revokeByAccount, revokeByKey, serialNumberIn } from './revocation.ts'
import type { Need } from './store/contract.ts'

/** Answers a GET or HEAD. The IDs are the segments of the path behind the route's name. */
type Get = (context: AcmeContext, ...ids: string[]) => Answer | Promise<Answer>
/**
 * Answers a POST: does what may wait, and returns the step that works over the unit. `conflict`: another
 * request came first, so that all is to begin anew.
 */
type PostByAccount = (
  context: AcmeContext,
  request: SignedByAccount,
  ...ids: string[]
) => Begun | Promise<Begun>
type PostByKey = (context: AcmeContext, request: Signed, key: AccountKey) => Begun | Promise<Begun>
type Begun = Step | 'conflict'

/** A request whose signature is not verified yet: it only chooses what is read. */
interface Ask {
  readonly ids: readonly string[]
  /** The account that the request names, and the key that it shows; each may be absent. */
  readonly account: string | undefined
  readonly key: AccountKey | undefined
  readonly payload: Readonly<Record<string, unknown>>
}

/** The ways in which a resource may be asked for. */
export interface Route {
  /** The numbers of IDs that the path may have. */
  readonly ids: readonly number[]
  /** What the step of a POST looks at, beside the account that signed. Absent: nothing. */
  readonly need?: (ask: Ask) => Need
  /** Answers requests without a signature: GET, HEAD. */
  readonly get?: Get
  /** Answers requests that an account signed (kid). */
  readonly byAccount?: PostByAccount
  /** Answers requests that are signed by the key that they show (jwk). */
  readonly byKey?: PostByKey
}

/** The routes by the first segment of the path below the base. */
export const routes: ReadonlyMap<string, Route> = new Map<string, Route>([
  ['directory', { ids: [0], get: directory, byAccount: alsoByPost(directory) }],
  ['new-nonce', { ids: [0], get: newNonce, byAccount: alsoByPost(newNonce) }],
  ['new-account', { ids: [0], byKey: newAccount, need: ofNewAccount }],
  ['account', { ids: [1], byAccount: updateAccount }],
  ['key-change', { ids: [0], byAccount: keyChange, need: ofKeyChange }],
  ['new-order', { ids: [0], byAccount: newOrder, need: ofNewOrder }],
  ['order', { ids: [1], byAccount: readOnly(getOrder), need: ofOrder }],
  ['orders', { ids: [1, 2], byAccount: readOnly(listOrders), need: ofAccount }],
  ['finalize', { ids: [1], byAccount: finalizeOrder, need: ofOrder }],
  ['authorization', { ids: [1], byAccount: getAuthorization, need: ofAuthorization }],
  ['challenge', { ids: [2], byAccount: respondToChallenge, need: ofAuthorization }],
  ['certificate', { ids: [1], byAccount: readOnly(getCertificate), need: ofCertificate }],
  ['issuer', { ids: [1], get: getIssuer, byAccount: readOnly(postIssuer) }],
  ['renewal-info', { ids: [1], get: renewalInfo }],
  ['revoke-cert', { ids: [0], byAccount: revokeByAccount, byKey: revokeByKey, need: ofRevocation }],
])

function ofNewAccount({ key, payload }: Ask): Need {
  return { thumbprint: key && thumbprintOf(key.jwk), eabKey: boundTo(payload) }
}

function ofKeyChange({ payload }: Ask): Need {
  try {
    return { thumbprint: thumbprintOf(readKeyChange(payload).jwk.jwk) }
  } catch {
    // The handler finds the same fault, and says so.
    return {}
  }
}

function ofNewOrder({ account, payload: { replaces } }: Ask): Need {
  const replaced = typeof replaces === 'string' ? readCertId(replaces) : null
  return { unfinishedOf: account, serialNumber: replaced?.serialNumber }
}

function ofOrder({ ids: [order] }: Ask): Need {
  return { order }
}

function ofAccount({ account, ids: [, before] }: Ask): Need {
  return { ordersOf: account, ordersBefore: before }
}

function ofAuthorization({ ids: [authorization] }: Ask): Need {
  return { authorization }
}

function ofCertificate({ ids: [certificate] }: Ask): Need {
  return { certificate }
}

/** An account that did not order a certificate may revoke it by the authorizations of its latest orders. */
function ofRevocation({ account, payload }: Ask): Need {
  return { serialNumber: serialNumberIn(payload), ordersOf: account }
}

/** Makes a handler for a resource that can only be read, by POST-as-GET (RFC 8555 §6.3). */
function readOnly(read: PostByAccount): PostByAccount {
  return (context, request, ...ids) => {
    const step = read(context, request, ...ids)
    const checked = (step: Begun): Begun =>
      step === 'conflict'
        ? step
        : (unit) => {
            const reply = step(unit)
            if (request.payload === null) return reply
            throw malformed('This resource can only be read: the payload has to be empty.')
          }
    return step instanceof Promise ? step.then(checked) : checked(step)
  }
}

/** Makes a POST-as-GET of what needs no store. */
function alsoByPost(get: (context: AcmeContext) => Answer): PostByAccount {
  return readOnly((context) => () => get(context))
}

/** Answers with nothing but a Replay-Nonce (RFC 8555 §7.2), which every answer has. */
function newNonce(): Answer {
  return { status: 204 }
}

/** Answers with the directory (RFC 8555 §7.1.1), which names only what this server can do. */
function directory({ urls, options, profiles }: AcmeContext): Answer {
  const described = [...profiles].map(([name, { description }]) => [name, description])
  return {
    status: 200,
    body: {
      newNonce: urls.newNonce,
      newAccount: urls.newAccount,
      newOrder: urls.newOrder,
      revokeCert: urls.revokeCert,
      keyChange: urls.keyChange,
      renewalInfo: urls.renewalInfo,
      meta: {
        ...(options.termsOfService === undefined ? {} : { termsOfService: options.termsOfService }),
        externalAccountRequired: options.eabRequired,
        profiles: Object.fromEntries(described) as Record<string, string>,
      },
    },
  }
}
