import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os'
import { RootlingError } from '../../errors.ts'
import { isIP } from '../../x509/ip.ts'

/** An address of this machine in a network, and the name of the interface that has it. */
export interface NetworkAddress {
  readonly address: string
  readonly device: string
}

type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>

/** The ranges of private networks (RFC 1918); a phone in the same one reaches this machine. */
const isPrivate = (address: string): boolean =>
  /^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)/.test(address)

/** The names of interfaces behind which are containers or virtual machines, but no phone. */
const isVirtual = (device: string): boolean =>
  /^(?:docker|br-|veth|virbr|vmnet|vboxnet|cni|flannel|podman|lxc|lxd|utun|tun|tap|wg|zt|tailscale|bridge\d)/i.test(
    device,
  ) || /\b(?:WSL|Hyper-V|VirtualBox|VMware)\b/.test(device)

/** Returns the private IPv4 addresses of this machine by which a phone may reach it. */
export function phoneAddresses(interfaces: Interfaces = networkInterfaces()): NetworkAddress[] {
  return Object.entries(interfaces).flatMap(([device, rows = []]) =>
    rows
      .filter(({ internal, address }) => !internal && isPrivate(address) && !isVirtual(device))
      .map(({ address }) => ({ address, device })),
  )
}

/**
 * Returns the address to share on: the given one, or the only one there is. Throws `usage` for what is no
 * address of this machine in a network, and where there are several or none.
 */
export function shareAddress(
  given: string | undefined,
  interfaces: Interfaces = networkInterfaces(),
): string {
  if (given !== undefined) {
    const own = Object.values(interfaces).flatMap((rows = []) => rows)
    const row = isIP(given) === 0 ? undefined : own.find(({ address }) => address === given)
    if (row?.internal === false) return given
    const what = row === undefined ? 'no address of this machine' : 'reached by no other device'
    throw new RootlingError('usage', `--address ${given} is ${what}.`, {
      hint: hintOf(phoneAddresses(interfaces)),
    })
  }
  const found = phoneAddresses(interfaces)
  const [first, second] = found
  if (first === undefined)
    throw new RootlingError('usage', 'This machine is in no private network.', {
      hint: 'Join the Wi-Fi of the phone, or name an address: rootling share --address ADDRESS',
    })
  if (second === undefined) return first.address
  const all = found.map(({ address, device }) => `${address} (${device})`).join(', ')
  throw new RootlingError('usage', `This machine is in several networks: ${all}.`, {
    hint: hintOf(found),
  })
}

const hintOf = ([first]: readonly NetworkAddress[]): string =>
  `rootling share --address ${first?.address ?? 'ADDRESS'}`
