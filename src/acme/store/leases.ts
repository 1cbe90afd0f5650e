import {
  authorizationStatus,
  challengeStatus,
  type Account,
  type Authorization,
} from '../resources.ts'
import { longestLease, type Claim } from './contract.ts'

/** Until when a process validates a challenge, for each that is being validated. */
export interface Leases {
  take(authorizationId: string, challengeId: string, until: number): void
  /** As `claimValidations` of the contract, for authorizations of which some may be decided. */
  claim(
    authorizations: Iterable<Authorization>,
    accountOf: (id: string) => Account | undefined,
    lease: { readonly now: number; readonly until: number; readonly limit: number },
  ): readonly Claim[]
}

/** Leases in memory: those of a process that is killed are gone with it. */
export function createLeases(): Leases {
  const ends = new Map<string, number>()
  const take = (authorizationId: string, challengeId: string, until: number): void =>
    void ends.set(`${authorizationId}/${challengeId}`, until)
  return {
    take,
    claim(authorizations, accountOf, { now, until, limit }) {
      for (const [key, end] of ends) if (end <= now || end > now + longestLease) ends.delete(key)
      const claims: Claim[] = []
      for (const authorization of authorizations) {
        const account = accountOf(authorization.accountId)
        if (account === undefined || authorizationStatus(authorization, now) !== 'pending') continue
        for (const challenge of authorization.challenges) {
          if (claims.length === limit) return claims
          if (challengeStatus(challenge) !== 'processing') continue
          if (ends.has(`${authorization.id}/${challenge.id}`)) continue
          take(authorization.id, challenge.id, until)
          claims.push({ authorization, challenge, account })
        }
      }
      return claims
    },
  }
}
