import { keyChange, newAccount, updateAccount } from './accounts.ts'
import { getAuthorization, respondToChallenge } from './authorizations.ts'
import { getCertificate, getIssuer, postIssuer } from './certificates.ts'
import type { AcmeContext, Answer, Signed, SignedByAccount } from './context.ts'
import { finalizeOrder } from './finalize.ts'
import type { AccountKey } from './keys.ts'
import { getOrder, listOrders, newOrder } from './orders.ts'
import { malformed } from './problems.ts'
import { renewalInfo } from './renewal-info.ts'
import { revokeByAccount, revokeByKey } from './revocation.ts'

type Reply = Answer | Promise<Answer>
/** Answers a GET or HEAD. The IDs are the segments of the path behind the route's name. */
type Get = (context: AcmeContext, ...ids: string[]) => Reply
type PostByAccount = (context: AcmeContext, request: SignedByAccount, ...ids: string[]) => Reply
type PostByKey = (context: AcmeContext, request: Signed, key: AccountKey) => Reply

/** The ways in which a resource may be asked for. */
export interface Route {
  /** The numbers of IDs that the path may have. */
  readonly ids: readonly number[]
  /** Answers requests without a signature: GET, HEAD. */
  readonly get?: Get
  /** Answers requests that an account signed (kid). */
  readonly byAccount?: PostByAccount
  /** Answers requests that are signed by the key that they show (jwk). */
  readonly byKey?: PostByKey
}

/** The routes by the first segment of the path below the base. */
export const routes: ReadonlyMap<string, Route> = new Map<string, Route>([
  ['directory', { ids: [0], get: directory, byAccount: readOnly(directory) }],
  ['new-nonce', { ids: [0], get: newNonce, byAccount: readOnly(newNonce) }],
  ['new-account', { ids: [0], byKey: newAccount }],
  ['account', { ids: [1], byAccount: updateAccount }],
  ['key-change', { ids: [0], byAccount: keyChange }],
  ['new-order', { ids: [0], byAccount: newOrder }],
  ['order', { ids: [1], byAccount: readOnly(getOrder) }],
  ['orders', { ids: [1, 2], byAccount: readOnly(listOrders) }],
  ['finalize', { ids: [1], byAccount: finalizeOrder }],
  ['authorization', { ids: [1], byAccount: getAuthorization }],
  ['challenge', { ids: [2], byAccount: respondToChallenge }],
  ['certificate', { ids: [1], byAccount: readOnly(getCertificate) }],
  ['issuer', { ids: [1], get: getIssuer, byAccount: readOnly(postIssuer) }],
  ['renewal-info', { ids: [1], get: renewalInfo }],
  ['revoke-cert', { ids: [0], byAccount: revokeByAccount, byKey: revokeByKey }],
])

/** Makes a handler for a resource that can only be read, by POST-as-GET (RFC 8555 §6.3). */
function readOnly(read: PostByAccount): PostByAccount {
  return async (context, request, ...ids) => {
    const answer = await read(context, request, ...ids)
    if (request.payload === null) return answer
    throw malformed('This resource can only be read: the payload has to be empty.')
  }
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
