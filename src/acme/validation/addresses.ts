import { lookup, Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { RootlingError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import { hostPort } from '../../server/listen.ts'
import type { SocketOwners } from '../../server/socket-owner.ts'
import { inRange, ipBytes, ipText, parseIpRange, unmapped, type IpRange } from '../../x509/ip.ts'
import type { ResolvedOptions, ValidationRanges } from '../options.ts'
import { AcmeProblem } from '../problems.ts'

/** Finds the addresses of a name to which validation may connect. */
export interface Addresses {
  /**
   * Returns the addresses to try, in order. Throws `dns` when there are none, and `connection` when
   * none is allowed.
   */
  of(host: string): Promise<string[]>
}

const loopback = ['127.0.0.0/8', '::1/128'].flatMap((text) => parseIpRange(text) ?? [])
/** The addresses that mean "any of mine": connecting to them connects to loopback. */
const unspecified = ['0.0.0.0/32', '::/128'].flatMap((text) => parseIpRange(text) ?? [])

/**
 * Whether a host is `localhost`, a name below it (RFC 6761 §6.3), or an address that leads to loopback.
 */
export function isLoopback(host: string): boolean {
  if (isIP(host) === 0) return /^(?:.+\.)?localhost$/.test(host)
  return octetsWithin(host).some((octets) =>
    [...loopback, ...unspecified].some((range) => inRange(octets, range)),
  )
}

/**
 * Finds only this machine's own addresses, unless remote ones are allowed, and none that
 * `AcmeOptions.validation` forbids: a server that connects to names of a client's choice must not be a way
 * into other networks. Validation connects to the addresses as they are returned here, and does not look
 * the name up again. Throws `usage` for ranges.
 */
export function createAddresses(
  options: ResolvedOptions,
  own: () => readonly Buffer[] = ownAddresses,
): Addresses {
  const { allowRemote, dnsResolver, validation } = options
  const forbidden = validation === undefined ? null : forbidding(validation, own)
  return {
    async of(host) {
      const found = (await addressesOf(host, dnsResolver)).map((one) =>
        ipText(ipBytes(unmapped(one))),
      )
      const allowed = allowRemote ? found : found.filter(isThisMachine)
      const isForbidden = (await forbidden?.()) ?? (() => false)
      const open = allowed.filter((address) => !isForbidden(address))
      if (open.length > 0) return [...new Set(open)]
      if (allowed.length > 0)
        throw new AcmeProblem(
          'connection',
          `${host} is at ${allowed.join(', ')}, where this server validates nothing: it keeps off its own machine, metadata services and networks that its operator named.`,
        )
      throw new AcmeProblem(
        'connection',
        `${host} is at ${found.join(', ')}, which is not this machine. To validate there, start the server with --allow-remote.`,
      )
    },
  }
}

/**
 * Where no server of a team is: the metadata services of clouds, which answer at link-local addresses and
 * at some of their own, by IPv6 Amazon's
 * (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html), Google's,
 * Oracle's, Scaleway's, Akamai's and Alibaba's, by IPv4 Oracle's older one, Alibaba's and Azure's;
 * loopback (RFC 6890), unspecified, multicast and broadcast addresses; site-local addresses (RFC 3879);
 * and what leads to IPv4 in ways that this network chooses or nobody runs any more: a NAT64 of this
 * network's own (RFC 8215), Teredo (RFC 4380), 6to4 (RFC 7526).
 */
const alwaysForbidden = [
  '169.254.0.0/16',
  'fe80::/10',
  'fec0::/10',
  'fd00:ec2::/32',
  'fd20:ce::254',
  'fd00:c1::a9fe:a9fe',
  'fd00:42::42',
  'fd00:a9fe:a9fe::1',
  'fd00:100::100:200',
  '192.0.0.192',
  '100.100.100.200',
  '168.63.129.16',
  '127.0.0.0/8',
  '0.0.0.0/8',
  '::/104',
  '224.0.0.0/4',
  'ff00::/8',
  '255.255.255.255',
  '64:ff9b:1::/48',
  '2001::/32',
  '2002::/16',
]

type IsForbidden = (address: string) => boolean

/**
 * Returns what finds out which addresses are forbidden now. An address is allowed where it, and each
 * IPv4 address that it may lead to, is denied by nothing or is in `allow`. Throws `usage`.
 */
function forbidding(
  { deny, allow, denyUnlessNamed }: ValidationRanges,
  own: () => readonly Buffer[],
): () => Promise<IsForbidden> {
  const [denied, allowed] = [[...alwaysForbidden, ...deny], allow].map((ranges) =>
    ranges.map(validationRange),
  ) as [IpRange[], IpRange[]]
  const isIn = (ranges: readonly IpRange[], octets: Buffer): boolean =>
    ranges.some((range) => inRange(octets, range))
  const isAmong = (addresses: readonly Buffer[], octets: Buffer): boolean =>
    addresses.some((one) => one.equals(octets))
  const named = allowed
    .filter(({ address, prefix }) => prefix === address.length * 8)
    .map(({ address }) => address)
  return async () => {
    const precious = ((await denyUnlessNamed?.()) ?? []).flatMap(octetsWithin)
    const ours = own()
    const isForbidden = (octets: Buffer): boolean => {
      if (isAmong(named, octets)) return false
      if (isAmong(precious, octets)) return true
      return (isIn(denied, octets) || isAmong(ours, octets)) && !isIn(allowed, octets)
    }
    return (address) => octetsWithin(address).some(isForbidden)
  }
}

function validationRange(text: string): IpRange {
  const range = parseIpRange(text)
  if (range !== null) return range
  throw new RootlingError(
    'usage',
    `${printable(text).slice(0, 100)} is not an address or a range of addresses for validation.`,
    { hint: 'For example 10.2.0.7, 10.2.0.0/16 or fd00:2::/32' },
  )
}

/**
 * IPv6 addresses that lead to IPv4: mapped, compatible (RFC 4291 §2.5.5), translated (RFC 2765), NAT64
 * (RFC 6052), 6to4 (RFC 3056) and Teredo (RFC 4380), where `at` is the octet at which the IPv4 address
 * begins. `::` and `::1` are none of them. Teredo has its server's, and its client's with all bits
 * turned over.
 */
const translated = [
  { range: '::ffff:0:0/96', at: 12 },
  { range: '::/96', except: '::/104', at: 12 },
  { range: '::ffff:0:0:0/96', at: 12 },
  { range: '64:ff9b::/96', at: 12 },
  { range: '2002::/16', at: 2 },
  { range: '2001::/32', at: 4 },
  { range: '2001::/32', at: 12, turned: 0xff },
].map(({ range, except = '', at, turned = 0 }) => ({
  range: parseIpRange(range),
  except: parseIpRange(except),
  at,
  turned,
}))

/** How an interface identifier of ISATAP begins, before an IPv4 address (RFC 5214 §6.1). */
const isatap = /^0[02]005efe$/

/** Returns the octets of an address, and those of IPv4 addresses that it may lead to. */
function octetsWithin(address: string): Buffer[] {
  const octets = ipBytes(address.replace(/%.*$/, ''))
  const isIn = (range: IpRange | null): boolean => range !== null && inRange(octets, range)
  const found = translated
    .filter(({ range, except }) => isIn(range) && !isIn(except))
    .map(({ at, turned }) => Buffer.from(octets.subarray(at, at + 4).map((one) => one ^ turned)))
  const isIsatap = octets.length === 16 && isatap.test(octets.toString('hex', 8, 12))
  return [octets, ...found, ...(isIsatap ? [octets.subarray(12)] : [])]
}

async function addressesOf(host: string, resolver: string | undefined): Promise<string[]> {
  if (isIP(host) !== 0) return [host]
  // Whatever a resolver says.
  if (isLoopback(host)) return ['127.0.0.1', '::1']
  if (resolver !== undefined) {
    const asked = createResolver(resolver)
    const answers = await Promise.allSettled([asked.resolve4(host), asked.resolve6(host)])
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
    if (found.length > 0) return found
  }
  try {
    return (await lookup(host, { all: true, verbatim: true })).map(({ address }) => address)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    throw new AcmeProblem('dns', `${host} has no address (${code}).`, { cause: error })
  }
}

/**
 * Creates a resolver at `IP`, `IP:port` or `[IPv6]:port`. It tries twice, so that the client waits
 * for seconds and not a minute. Throws `usage` for any other address.
 */
export function createResolver(address: string): Resolver {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 })
  try {
    resolver.setServers([address])
  } catch (cause) {
    throw new RootlingError(
      'usage',
      `--dns-resolver ${address === '' ? 'without a value' : address} is not the address of a resolver.`,
      { hint: '--dns-resolver 127.0.0.1:53; --dns-resolver system: none, and no dns-01', cause },
    )
  }
  return resolver
}

/** When the interfaces are read again, in milliseconds of `performance.now`, and what they had. */
let interfaces: { readonly until: number; readonly addresses: readonly Buffer[] } | null = null

/**
 * Returns the octets of all addresses of this machine. Networks come and go, so the interfaces are read
 * again after a second.
 */
function ownAddresses(): readonly Buffer[] {
  const now = performance.now()
  if (interfaces !== null && now < interfaces.until) return interfaces.addresses
  const addresses = Object.values(networkInterfaces())
    .flatMap((rows) => rows ?? [])
    .map((row) => ipBytes(row.address.replace(/%.*$/, '')))
  interfaces = { until: now + 1_000, addresses }
  return addresses
}

/** Whether an address is one of this machine. */
export function isThisMachine(address: string): boolean {
  const octets = ipBytes(unmapped(address))
  if (loopback.some((range) => inRange(octets, range))) return true
  return ownAddresses().some((own) => own.equals(octets))
}

/** An attempt to connect to one of several addresses. */
export interface Connecting {
  /** Ends the attempt: with the validation, or where no connection is made in time. */
  readonly signal: AbortSignal
  /** To be called when connecting begins: what comes before, such as a look at owners, may take longer. */
  readonly begun: () => void
  /** To be called when there is a connection, which may then take as long as the validation. */
  readonly connected: () => void
}

/** How long to wait for a connection while there are other addresses to try, in milliseconds. */
const longestConnecting = 2_000

/**
 * Tries each address until one succeeds. Packets to an address may be dropped in silence, as where
 * IPv6 is misconfigured: all but the last have a moment to connect. When all fail, throws the first
 * error of an address that answered, or else the first error.
 */
export async function tryEach(
  addresses: readonly string[],
  signal: AbortSignal,
  attempt: (address: string, connecting: Connecting) => Promise<void>,
): Promise<void> {
  const errors: unknown[] = []
  for (const address of addresses) {
    const giveUp = new AbortController()
    const abort = (): void => giveUp.abort()
    const isLast = address === addresses.at(-1)
    let isConnected = false
    const connected = (): void => void (isConnected = true)
    // After this process was busy for long, timers come first: then a connection has its turn.
    const isLate = (): void => void setImmediate(() => isConnected || abort())
    let timer: NodeJS.Timeout | undefined
    const begun = (): void => {
      if (!isLast) timer ??= setTimeout(isLate, longestConnecting)
    }
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    try {
      await attempt(address, { signal: giveUp.signal, begun, connected })
      return
    } catch (error) {
      errors.push(error)
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
    }
  }
  const refused = (error: unknown): boolean =>
    error instanceof AcmeProblem && error.document.type.endsWith(':connection')
  throw errors.find((error) => !refused(error)) ?? errors[0]
}

/** Returns the problem for a connection that failed. */
export function connectionProblem(where: string, error: unknown): AcmeProblem {
  if (error instanceof AcmeProblem) return error
  const { code = '', message } = error as NodeJS.ErrnoException
  const why =
    code === 'ECONNREFUSED'
      ? 'nothing listens there'
      : code === 'ABORT_ERR'
        ? 'no answer in time'
        : message
  const tls = /SSL|TLS|EPROTO/.test(code)
  return new AcmeProblem(tls ? 'tls' : 'connection', `Connecting to ${where} failed: ${why}.`, {
    cause: error,
  })
}

/**
 * Calls `ask`, which asks a server for an answer to a challenge, and throws unauthorized unless the
 * server is ours, both before and after. Ports that need privileges are their owner's affair, and
 * other machines are not looked at.
 */
export async function askOwners<T extends object>(
  owners: SocketOwners | null,
  address: string,
  port: number,
  ask: () => Promise<T>,
): Promise<T> {
  if (owners === null || !isThisMachine(address)) return ask()
  if (port < (await owners.firstFreePort())) return ask()
  const before = await owners.ofListener(address, port)
  // Where nobody listens, `ask` says so.
  const answer = before === 'ours' || before === "nobody's" ? await ask() : null
  const isOurs = before === 'ours' && (await owners.ofListener(address, port)) === 'ours'
  if (answer !== null && isOurs) return answer
  const whose =
    before === 'unknown'
      ? 'is of a user whom this machine does not name'
      : 'belongs to another user of this machine'
  throw new AcmeProblem(
    'unauthorized',
    `The server at ${hostPort(address, port)} ${whose}, so its answer proves nothing.`,
  )
}
