/** The URL of each resource: `BASE/KIND` or `BASE/KIND/ID`. */
export interface Urls {
  readonly directory: string
  readonly newNonce: string
  readonly newAccount: string
  readonly newOrder: string
  readonly revokeCert: string
  readonly keyChange: string
  readonly renewalInfo: string
  readonly account: (id: string) => string
  readonly orders: (accountId: string, before?: string) => string
  readonly order: (id: string) => string
  readonly finalize: (orderId: string) => string
  readonly authorization: (id: string) => string
  readonly challenge: (authorizationId: string, id: string) => string
  readonly certificate: (id: string) => string
  readonly issuer: (keyIdentifier: string) => string
  /** Returns the ID in the URL of an account; `null` when the text is not such a URL. */
  readonly accountId: (url: string) => string | null
}

/**
 * Makes the URLs below a base such as `https://localhost:14600/acme`, without a slash at its end.
 */
export function createUrls(base: string): Urls {
  return {
    directory: `${base}/directory`,
    newNonce: `${base}/new-nonce`,
    newAccount: `${base}/new-account`,
    newOrder: `${base}/new-order`,
    revokeCert: `${base}/revoke-cert`,
    keyChange: `${base}/key-change`,
    renewalInfo: `${base}/renewal-info`,
    account: (id) => `${base}/account/${id}`,
    orders: (id, before) => `${base}/orders/${id}${before === undefined ? '' : `/${before}`}`,
    order: (id) => `${base}/order/${id}`,
    finalize: (id) => `${base}/finalize/${id}`,
    authorization: (id) => `${base}/authorization/${id}`,
    challenge: (authorizationId, id) => `${base}/challenge/${authorizationId}/${id}`,
    certificate: (id) => `${base}/certificate/${id}`,
    issuer: (keyIdentifier) => `${base}/issuer/${keyIdentifier}`,
    accountId: (url) =>
      url.startsWith(`${base}/account/`) ? url.slice(`${base}/account/`.length) : null,
  }
}
