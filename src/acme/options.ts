import type { AcmeLimits } from './limits.ts'

/** The options of an ACME server, about matters that RFC 8555 leaves open. */
export interface AcmeOptions {
  /** The port to which http-01 connects; default 80. 0 turns http-01 off. */
  readonly http01Port?: number | undefined
  /** The port to which tls-alpn-01 connects; default 443. 0 turns tls-alpn-01 off. */
  readonly tlsAlpn01Port?: number | undefined
  /**
   * The resolver, `IP` or `IP:port`. With a resolver, dns-01 is offered, and all names are looked
   * up there first.
   */
  readonly dnsResolver?: string | undefined
  /** Whether validation may connect to other machines. */
  readonly allowRemote?: boolean | undefined
  /** Whether new accounts need an external account binding (RFC 8555 §7.3.4). */
  readonly eabRequired?: boolean | undefined
  /** Whether anybody who reaches the server may open an account, also from another machine. */
  readonly openToAll?: boolean | undefined
  /** The URL of terms that new accounts have to agree to. */
  readonly termsOfService?: string | undefined
  /** The profiles by name; `default` is for orders that name none. */
  readonly profiles?: Readonly<Record<string, AcmeProfile>> | undefined
  /** Where validation may connect to; default: wherever `allowRemote` lets it. */
  readonly validation?: ValidationRanges | undefined
  /** How much accounts and addresses may do; default: there are no limits. */
  readonly limits?: AcmeLimits | undefined
  /** How long a validation may take; default 10,000. */
  readonly validationMilliseconds?: number | undefined
  /** How long the answer to a challenge waits for its validation; default 2,000. */
  readonly answerMilliseconds?: number | undefined
}

/**
 * Addresses and ranges of addresses (CIDR). Validation connects to none in `deny`, to none of this machine,
 * and to none that gives metadata to machines of clouds, or is loopback, link-local, unspecified or
 * multicast, except for those in `allow`. An IPv6 address that leads to an IPv4 address counts as both.
 * The resolver of dns-01 is asked wherever it is.
 */
export interface ValidationRanges {
  readonly deny: readonly string[]
  readonly allow: readonly string[]
  /**
   * Returns addresses, as they are now, to which validation connects only where `allow` names the very
   * address: a range is not enough.
   */
  readonly denyUnlessNamed?: (() => Promise<readonly string[]>) | undefined
}

export interface AcmeProfile {
  readonly days: number
  readonly description: string
}

export interface ResolvedOptions extends AcmeOptions {
  readonly http01Port: number
  readonly tlsAlpn01Port: number
  readonly allowRemote: boolean
  readonly eabRequired: boolean
  readonly openToAll: boolean
  readonly validationMilliseconds: number
  readonly answerMilliseconds: number
}

const defaults = {
  http01Port: 80,
  tlsAlpn01Port: 443,
  allowRemote: false,
  eabRequired: false,
  openToAll: false,
  validationMilliseconds: 10_000,
  answerMilliseconds: 2_000,
}

/**
 * The profiles when none are given. The first suits `certbot renew`, which renews when a third of
 * the lifetime is left.
 */
const defaultProfiles: Readonly<Record<string, AcmeProfile>> = {
  default: { days: 90, description: 'A server certificate for 90 days' },
  short: { days: 7, description: 'A server certificate for 7 days' },
}

export function resolveOptions(options: AcmeOptions): ResolvedOptions {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  return { ...defaults, ...(Object.fromEntries(given) as Partial<ResolvedOptions>) }
}

export const resolveProfiles = ({ profiles }: AcmeOptions): ReadonlyMap<string, AcmeProfile> =>
  new Map(Object.entries(profiles ?? defaultProfiles))
