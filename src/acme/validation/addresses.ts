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

/** Whether a host is `localhost`, a name below it (RFC 6761 §6.3), or an address of loopback. */
export function isLoopback(host: string): boolean {
  if (isIP(host) === 0) return /^(?:.+\.)?localhost$/.test(host)
  const octets = ipBytes(unmapped(host))
  return [...loopback, ...unspecified].some((range) => inRange(octets, range))
}

/**
 * Finds only this machine's own addresses, unless remote ones are allowed, and none that
 * `AcmeOptions.validation` forbids: a server that connects to names of a client's choice must not be a way
 * into other networks. Validation connects to the addresses as they are returned here, and does not look
 * the name up again. Throws `usage` for ranges.
 */
export function createAddresses(options: ResolvedOptions): Addresses {
  const { allowRemote, dnsResolver, validation } = options
  const isForbidden = validation === undefined ? () => false : forbidding(validation)
  return {
    async of(host) {
      const found = (await addressesOf(host, dnsResolver)).map((one) =>
        ipText(ipBytes(unmapped(one))),
      )
      const allowed = allowRemote ? found : found.filter(isThisMachine)
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
 * at one of Amazon's own (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html),
 * Alibaba's and Azure's; loopback (RFC 6890), unspecified, multicast and broadcast addresses.
 */
const alwaysForbidden = [
  '169.254.0.0/16',
  'fe80::/10',
  'fd00:ec2::254',
  '100.100.100.200',
  '168.63.129.16',
  '127.0.0.0/8',
  '::1',
  '0.0.0.0/8',
  '::',
  '224.0.0.0/4',
  'ff00::/8',
  '255.255.255.255',
]

/** Tells which addresses are forbidden. Throws `usage`. */
function forbidding({ deny, allow }: ValidationRanges): (address: string) => boolean {
  const [denied, allowed] = [[...alwaysForbidden, ...deny], allow].map((ranges) =>
    ranges.map(validationRange),
  ) as [IpRange[], IpRange[]]
  const isIn = (ranges: readonly IpRange[], address: string): boolean =>
    octetsWithin(address).some((octets) => ranges.some((range) => inRange(octets, range)))
  return (address) => isIn(denied, address) && !isIn(allowed, address)
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

/** Prefixes of IPv6 addresses that lead to IPv4: mapped, compatible, NAT64 (RFC 6052), 6to4 (RFC 3056). */
const translated = [
  { range: '::ffff:0:0/96', at: 12 },
  { range: '::/96', at: 12 },
  { range: '64:ff9b::/96', at: 12 },
  { range: '2002::/16', at: 2 },
].map(({ range, at }) => ({ range: parseIpRange(range), at }))

/** Returns the octets of an address, and those of IPv4 addresses that it may lead to. */
function octetsWithin(address: string): Buffer[] {
  const octets = ipBytes(address.replace(/%.*$/, ''))
  const found = translated.filter(({ range }) => range !== null && inRange(octets, range))
  return [octets, ...found.map(({ at }) => octets.subarray(at, at + 4))]
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

/**
 * Whether an address is one of this machine. The interfaces are read each time: networks come and
 * go.
 */
export function isThisMachine(address: string): boolean {
  const octets = ipBytes(unmapped(address))
  if (loopback.some((range) => inRange(octets, range))) return true
  const own = Object.values(networkInterfaces()).flatMap((rows) => rows ?? [])
  return own.some((row) => ipBytes(row.address.replace(/%.*$/, '')).equals(octets))
}

/**
 * Tries each address until one succeeds. When all fail, throws the first error of an address that
 * answered, or else the first error.
 */
export async function tryEach(
  addresses: readonly string[],
  attempt: (address: string) => Promise<void>,
): Promise<void> {
  const errors: unknown[] = []
  for (const address of addresses) {
    try {
      await attempt(address)
      return
    } catch (error) {
      errors.push(error)
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
