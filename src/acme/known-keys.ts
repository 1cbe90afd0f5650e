import { accountKey, type AccountKey } from './keys.ts'
import type { Account } from './resources.ts'

/** The keys of accounts, so that one is not read from its JSON for each request. */
export interface KnownKeys {
  /**
   * Returns the key of an account as it was when `of` saw it last, of this process; `undefined`: it did
   * not lately. The account may have changed it since.
   */
  recent(accountId: string): AccountKey | undefined
  /** Returns the key of an account. Throws what `readJwk` throws. */
  of(account: Account): AccountKey
}

/** How many keys are kept; each takes about 2 KiB. */
const mostKeys = 1_000

export function createKnownKeys(): KnownKeys {
  const known = new Map<string, { readonly thumbprint: string; readonly key: AccountKey }>()
  return {
    recent: (accountId) => known.get(accountId)?.key,
    of({ id, thumbprint, jwk }) {
      const before = known.get(id)
      const key = before?.thumbprint === thumbprint ? before.key : accountKey(jwk)
      known.delete(id)
      known.set(id, { thumbprint, key })
      const [oldest = ''] = known.size > mostKeys ? known.keys() : []
      known.delete(oldest)
      return key
    },
  }
}
