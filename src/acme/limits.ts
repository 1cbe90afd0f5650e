import { ipBytes, ipText, isIP, unmapped } from '../x509/ip.ts'
import type { AcmeProblem } from './problems.ts'
import { rateLimited } from './store/bounds.ts'

/**
 * How much one account, or one address of clients, may do. Each process counts for itself, and forgets
 * it when it ends. What is absent has no limit. Up to the whole number may come at once; after that it
 * comes back evenly over the hour or minute.
 */
export interface AcmeLimits {
  /** Orders that an account makes. */
  readonly ordersPerHour?: number | undefined
  /** Names in the orders that an account makes. */
  readonly namesPerHour?: number | undefined
  /** Validations of an account that fail. */
  readonly failedValidationsPerHour?: number | undefined
  /** Accounts that are made from an address; an IPv6 address stands for its /64. */
  readonly newAccountsPerHour?: number | undefined
  /** Requests from an address whose signature is wrong. */
  readonly failedSignaturesPerMinute?: number | undefined
}

const hour = { seconds: 3600, per: 'an hour' }
const minute = { seconds: 60, per: 'a minute' }

/** What is limited, for a sentence, and the time for which the number is meant. */
const kinds = {
  ordersPerHour: { what: 'orders of one account', ...hour },
  namesPerHour: { what: 'names in orders of one account', ...hour },
  failedValidationsPerHour: { what: 'failed validations of one account', ...hour },
  newAccountsPerHour: { what: 'new accounts from one address', ...hour },
  failedSignaturesPerMinute: { what: 'wrong signatures from one address', ...minute },
} as const

type LimitKind = keyof typeof kinds

export interface Limits {
  /** Throws rateLimited where nothing more is allowed to the account or the address now. */
  check(kind: LimitKind, who: string): void
  /**
   * Counts. It may be more than what is left, as for an order of many names: it then takes longer until
   * something is allowed again.
   */
  count(kind: LimitKind, who: string, amount?: number): void
  /** Takes back what `count` counted, since it came to nothing. */
  giveBack(kind: LimitKind, who: string, amount?: number): void
}

/** A token bucket. */
interface Bucket {
  /** What was left at `at`; below 0: more was taken than there was. */
  left: number
  /** Milliseconds since 1970. */
  at: number
}

/** The most buckets. Beyond that the one is forgotten that was not used for the longest time. */
const mostBuckets = 20_000

/** Creates limits that nothing has been counted for. */
export function createLimits(limits: AcmeLimits, now: () => Date): Limits {
  // Those that were used last are at the end.
  const buckets = new Map<string, Bucket>()
  const read = (kind: LimitKind, who: string, most: number): Bucket => {
    const at = now().getTime()
    const known = buckets.get(`${kind} ${who}`)
    if (known === undefined) return { left: most, at }
    // Where the clock was set back, the time counts from there.
    known.at = Math.min(known.at, at)
    const returned = ((at - known.at) / 1000) * (most / kinds[kind].seconds)
    return { left: Math.min(most, known.left + returned), at }
  }
  const change = (kind: LimitKind, who: string, difference: number): void => {
    const most = limits[kind]
    if (most === undefined) return
    const { left, at } = read(kind, who, most)
    const name = `${kind} ${who}`
    buckets.delete(name)
    if (left + difference < most) buckets.set(name, { left: left + difference, at })
    const [oldest = ''] = buckets.keys()
    if (buckets.size > mostBuckets) buckets.delete(oldest)
  }
  return {
    check(kind, who) {
      const most = limits[kind]
      if (most === undefined) return
      const { left } = read(kind, who, most)
      if (left < 1) throw exceeded(kind, most, 1 - left)
    },
    count: (kind, who, amount = 1) => change(kind, who, -amount),
    giveBack: (kind, who, amount = 1) => change(kind, who, amount),
  }
}

function exceeded(kind: LimitKind, most: number, lacking: number): AcmeProblem {
  const { seconds, per, what } = kinds[kind]
  const wait = most > 0 ? Math.max(1, Math.ceil((lacking * seconds) / most)) : seconds
  return rateLimited(
    kind,
    `The limit on ${what} is ${most} ${per}, and is used up: try again in ${wait} seconds.`,
    wait,
  )
}

/** Returns what an address counts as: itself, or the network of 64 bits of an IPv6 address. */
export function clientOf(address = ''): string {
  const plain = unmapped(address).replace(/%.*$/, '')
  if (isIP(plain) !== 6) return plain
  const octets = Buffer.from(ipBytes(plain))
  return `${ipText(octets.fill(0, 8))}/64`
}
