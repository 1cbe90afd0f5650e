import { RootlingError } from '../errors.ts'
import { printable } from '../printable.ts'
import { parseIdentifier } from '../x509/identifier.ts'
import { ipBytes, ipText, isIP } from '../x509/ip.ts'
import { localConstraints } from '../x509/name-constraints.ts'

/**
 * The addresses of a name for which none was chosen: both, as `localhost` has them. A server that
 * listens at one of the two is then found, since clients try both, and no client asks a DNS server
 * for the address that the hosts file lacks, which for names below .local takes seconds on macOS.
 */
export const loopback: readonly string[] = ['127.0.0.1', '::1']

/**
 * Returns a host name as a hosts file holds it: in lower case, an international name as A-labels.
 * Throws `bad-name` for anything else, and `usage` for `localhost` and other names of every machine.
 */
export function parseHostName(text: string): string {
  const { type, value } = parseIdentifier(text)
  const shown = printable(text)
  if (type !== 'dns')
    throw new RootlingError('bad-name', `${shown} is not a host name.`, {
      hint: 'Its address goes after --address: rootling hosts add shop.test --address 127.0.0.2',
    })
  if (value.startsWith('*'))
    throw new RootlingError(
      'bad-name',
      `${shown} is a wildcard, and a hosts file has lines for single names only.`,
      { hint: 'Name each host, or use names below .localhost, which browsers find without a line' },
    )
  if (isMachineName(value))
    throw new RootlingError('usage', `Every machine finds ${value}, so its lines are left alone.`, {
      hint: 'Name another host, such as shop.test',
    })
  return value
}

/**
 * The names that systems put into the hosts file themselves: hosts(5) of Debian and Fedora, and of
 * macOS.
 */
const machineNames = new Set([
  'localhost',
  'localhost.localdomain',
  'localhost4',
  'localhost4.localdomain4',
  'localhost6',
  'localhost6.localdomain6',
  'ip6-localhost',
  'ip6-loopback',
  'ip6-localnet',
  'ip6-mcastprefix',
  'ip6-allnodes',
  'ip6-allrouters',
  'ip6-allhosts',
  'broadcasthost',
])

/** Whether a host name, in lower case and as A-labels, is one that every machine has for itself. */
export const isMachineName = (name: string): boolean => machineNames.has(name)

/** Returns an IP address in its one form (RFC 5952). Throws `usage` for anything else. */
export function parseHostAddress(text: string): string {
  const address = canonicalAddress(text)
  if (address === null || text.includes('%'))
    throw new RootlingError('usage', `${printable(text) || '""'} is not an IP address.`, {
      hint: 'Give an address alone, such as 127.0.0.1 or ::1',
    })
  if (address === '0.0.0.0' || address === '::')
    throw new RootlingError('usage', `${address} is not the address of any host.`, {
      hint: 'This machine’s own addresses are 127.0.0.1 and ::1',
    })
  return address
}

/** Returns an address, without its zone, in its one form; `null`: the text is not an address. */
export function canonicalAddress(text: string): string | null {
  return isIP(text) === 0 ? null : ipText(ipBytes(text.replace(/%.*/, '')))
}

/**
 * Returns the names that may be somebody's on the internet: they have a dot, and are outside the
 * domains that mean something only within a machine or a network. A line for such a name sends
 * every program of the machine to another server than its owner's.
 */
export const publicNames = (names: Iterable<string>): string[] =>
  [...names].filter((name) => name.includes('.') && !localConstraints.dns.some(isAbove(name)))

/**
 * The domains below which no name belongs to anybody else (RFC 6761). In others that are not of the
 * internet, such as .lan, .internal and .local, a server of the network may have the name.
 */
const unowned = ['localhost', 'test', 'example', 'invalid']

/** Whether nobody else can own a name, so that a line for it takes it from no server. */
export const isUnowned = (name: string): boolean => unowned.some(isAbove(name))

const isAbove =
  (name: string) =>
  (domain: string): boolean =>
    name === domain || name.endsWith(`.${domain}`)
