import * as accounts from './accounts.ts'
import { getAuthorization, respondToChallenge } from './authorizations.ts'
import { getCertificate, getIssuer, postIssuer } from './certificates.ts'
import type { Answer, AcmeContext, Signed, SignedByAccount } from './context.ts'
import { finalizeOrder } from './finalize.ts'
import type { AccountKey } from './keys.ts'
import * as orders from './orders.ts'
import { malformed } from './problems.ts'
import { renewalInfo } from './renewal-info.ts'
import { revokeCertificate } from './revocation.ts'

type Reply = Answer | Promise<Answer>

/** What stands after the base's path, and who may ask for it how. IDs are its further segments. */
export interface Route {
  /** The number of IDs. */
  readonly ids: readonly number[]
  /** Without a signature: GET, HEAD. */
  readonly get?: (context: AcmeContext, ids: readonly string[]) => Reply
  /** Signed by an account (kid). */
  readonly byAccount?: (
    context: AcmeContext,
    request: SignedByAccount,
    ids: readonly string[],
  ) => Reply
  /** Signed by a key that the request shows (jwk). */
  readonly byKey?: (context: AcmeContext, request: Signed, key: AccountKey) => Reply
}

const [first, second] = [0, 1].map(
  (index) =>
    (ids: readonly string[]): string =>
      ids[index] ?? '',
) as [(ids: readonly string[]) => string, (ids: readonly string[]) => string]

export const routes: ReadonlyMap<string, Route> = new Map<string, Route>([
  [
    'directory',
    { ids: [0], get: directory, byAccount: (context, one) => plain(one, directory(context)) },
  ],
  [
    'new-nonce',
    {
      ids: [0],
      get: () => ({ status: 204 }),
      byAccount: (_, one) => plain(one, { status: 204 }),
    },
  ],
  ['new-account', { ids: [0], byKey: accounts.newAccount }],
  [
    'account',
    {
      ids: [1],
      byAccount: (context, one, ids) => accounts.updateAccount(context, first(ids), one),
    },
  ],
  ['key-change', { ids: [0], byAccount: accounts.keyChange }],
  ['new-order', { ids: [0], byAccount: orders.newOrder }],
  [
    'order',
    {
      ids: [1],
      byAccount: (context, one, ids) =>
        plain(one, orders.answerWith(context, orders.ownOrder(context, first(ids), one), 200)),
    },
  ],
  [
    'orders',
    {
      ids: [1, 2],
      byAccount: (context, one, ids) =>
        plain(one, orders.listOrders(context, first(ids), ids[1], one)),
    },
  ],
  [
    'finalize',
    { ids: [1], byAccount: (context, one, ids) => finalizeOrder(context, first(ids), one) },
  ],
  [
    'authorization',
    { ids: [1], byAccount: (context, one, ids) => getAuthorization(context, first(ids), one) },
  ],
  [
    'challenge',
    {
      ids: [2],
      byAccount: (context, one, ids) => respondToChallenge(context, first(ids), second(ids), one),
    },
  ],
  [
    'certificate',
    {
      ids: [1],
      byAccount: (context, one, ids) => plain(one, getCertificate(context, first(ids), one)),
    },
  ],
  [
    'issuer',
    {
      ids: [1],
      get: (context, ids) => getIssuer(context, first(ids)),
      byAccount: async (context, one, ids) => plain(one, await postIssuer(context, first(ids))),
    },
  ],
  ['renewal-info', { ids: [1], get: (context, ids) => renewalInfo(context, first(ids)) }],
  [
    'revoke-cert',
    {
      ids: [0],
      byAccount: (context, one) => revokeCertificate(context, one, { account: one.account }),
      byKey: (context, one, jwk) => revokeCertificate(context, one, { jwk }),
    },
  ],
])

/** For resources that can only be read (RFC 8555 §6.3). */
function plain({ payload }: { payload: (Signed['payload'] & {}) | null }, answer: Answer): Answer {
  if (payload !== null) throw malformed('This resource is only read: the payload has to be empty.')
  return answer
}

/** RFC 8555 §7.1.1: what works, and nothing else. */
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
