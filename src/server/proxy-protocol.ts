import type { Socket } from 'node:net'
import { RootlingError } from '../errors.ts'
import { inRange, ipBytes, isIP, ipText, parseIpRange, unmapped } from '../x509/ip.ts'
import type { Peer } from './peer.ts'

/** What the header of the PROXY protocol says, and how many octets it has. */
export interface ProxyHeader {
  /** `null`: the balancer speaks for itself, or does not know the client. */
  readonly client: Peer | null
  readonly length: number
}

/** The longest header of version 1, with its CRLF. */
const longestLine = 107
/** The most octets of addresses and TLVs that are taken behind the 16 of version 2. */
const longestRest = 536
const lineStart = Buffer.from('PROXY ')
const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
/** The signature, the command, the family and the length. */
const fixedLength = 16

/**
 * Reads the header of the PROXY protocol, version 1 or 2, at the beginning of a connection
 * (doc/proxy-protocol.txt of HAProxy). `null`: it has not come whole yet, and may still become one.
 * Throws `connect-failed`, with a sentence about the sender, for anything else.
 */
export function parseProxyHeader(octets: Buffer): ProxyHeader | null {
  if (beginsLike(octets, lineStart)) return parseLine(octets)
  if (beginsLike(octets, signature)) return parseBinary(octets)
  throw refusal('it sent no header of the PROXY protocol, with which a balancer must begin.')
}

/** Whether octets begin with a text, as far as they go. */
function beginsLike(octets: Buffer, text: Buffer): boolean {
  const length = Math.min(octets.length, text.length)
  return octets.subarray(0, length).equals(text.subarray(0, length))
}

/** Version 1, a line such as `PROXY TCP4 192.0.2.7 192.0.2.1 56324 443`. */
function parseLine(octets: Buffer): ProxyHeader | null {
  const head = octets.subarray(0, longestLine)
  const end = head.indexOf('\r\n')
  if (end === -1) {
    if (head.length < longestLine) return null
    throw refusal(`its PROXY header has no end within ${longestLine} octets.`)
  }
  const length = end + 2
  const line = head.toString('latin1', 0, end)
  // A sender that does not know the client may put anything behind this word.
  if (/^PROXY UNKNOWN(?: |$)/.test(line)) return { client: null, length }
  const [, family, source = '', destination = '', sourcePort = '', destinationPort = ''] =
    /^PROXY TCP([46]) (\S+) (\S+) (\d{1,5}) (\d{1,5})$/.exec(line) ?? []
  const isAddress = (text: string): boolean => isIP(text) === Number(family) && !text.includes('%')
  const isPort = (text: string): boolean => String(Number(text)) === text && Number(text) < 65_536
  const isSound =
    [source, destination].every(isAddress) && [sourcePort, destinationPort].every(isPort)
  if (!isSound) throw refusal('its PROXY header names no valid addresses and ports.')
  return { client: { address: addressOf(ipBytes(source)), port: Number(sourcePort) }, length }
}

/** How many octets the addresses and ports of a family over TCP have. */
const addressesLength: Readonly<Record<number, number>> = { 0x11: 12, 0x21: 36 }

/** Version 2. What follows the addresses (TLVs) is passed over. */
function parseBinary(octets: Buffer): ProxyHeader | null {
  if (octets.length < fixedLength) return null
  const [versionAndCommand = 0, family = 0] = octets.subarray(signature.length)
  // The command is LOCAL or PROXY.
  if (versionAndCommand !== 0x20 && versionAndCommand !== 0x21)
    throw refusal('its PROXY header has an unknown version or command.')
  // No protocol, IPv4, IPv6 or a Unix socket; and none, a stream or datagrams.
  if (family >> 4 > 3 || (family & 15) > 2)
    throw refusal('its PROXY header has an unknown address family.')
  const rest = octets.readUInt16BE(14)
  if (rest > longestRest)
    throw refusal(`its PROXY header is longer than ${fixedLength + longestRest} octets.`)
  const length = fixedLength + rest
  const needed = versionAndCommand === 0x21 ? (addressesLength[family] ?? null) : null
  if (needed !== null && rest < needed)
    throw refusal('its PROXY header is too short for addresses.')
  if (octets.length < length) return null
  // Of LOCAL the addresses do not count, and of another family than TCP there are none to show.
  if (needed === null) return { client: null, length }
  const addresses = octets.subarray(fixedLength, fixedLength + needed)
  const size = (needed - 4) / 2
  const client = {
    address: addressOf(addresses.subarray(0, size)),
    port: addresses.readUInt16BE(2 * size),
  }
  return { client, length }
}

const mappedPrefix = Buffer.from('00000000000000000000ffff', 'hex')

/** Writes an IPv4 address in IPv6 as IPv4, so that these clients do not all share one IPv6 network. */
function addressOf(bytes: Buffer): string {
  const isMapped = bytes.length === 16 && bytes.subarray(0, 12).equals(mappedPrefix)
  return ipText(isMapped ? bytes.subarray(12) : bytes)
}

const refusal = (sentence: string): Error => new RootlingError('connect-failed', sentence)

/**
 * Returns whether an address is that of a balancer, given the addresses and ranges of all balancers.
 * Throws `usage` for text that is neither.
 */
export function balancersIn(proxies: readonly string[]): (address: string) => boolean {
  const ranges = proxies.map((text) => {
    const range = parseIpRange(text)
    if (range !== null) return range
    throw new RootlingError('usage', `${text} is no address or range of a balancer.`, {
      hint: 'Give an address such as 10.0.0.5, or a range such as 10.0.0.0/24.',
    })
  })
  return (address) => {
    const plain = unmapped(address).replace(/%.*$/, '')
    if (ranges.length === 0 || isIP(plain) === 0) return false
    const bytes = ipBytes(plain)
    return ranges.some((range) => inRange(bytes, range))
  }
}

export interface ProxyHeaderReading {
  /** Called with the socket at the first octet behind the header. */
  readonly onHeader: (client: Peer | null) => void
  /** Called with the reason when the connection was closed, unless it ended without one octet. */
  readonly onRefused: (error: Error) => void
  /** The time for the whole header. */
  readonly milliseconds: number
}

/** Reads the header of a balancer's connection, or closes the connection. */
export function readProxyHeader(socket: Socket, reading: ProxyHeaderReading): void {
  let octets: Buffer = Buffer.alloc(0)
  const refuse = (error: Error): void => {
    socket.destroy()
    reading.onRefused(error)
  }
  const timer = setTimeout(
    () => refuse(refusal('it did not send its whole PROXY header in time.')),
    reading.milliseconds,
  )
  const look = (): void => {
    const chunk = socket.read() as Buffer | null
    // At the end of the stream there is nothing to read.
    if (chunk === null) return
    octets = octets.length === 0 ? chunk : Buffer.concat([octets, chunk])
    let header: ProxyHeader | null
    try {
      header = parseProxyHeader(octets)
    } catch (error) {
      refuse(error as Error)
      return
    }
    if (header === null) return
    socket.off('readable', look).off('error', ignore).off('end', end).off('close', forget)
    clearTimeout(timer)
    if (octets.length > header.length) socket.unshift(octets.subarray(header.length))
    reading.onHeader(header.client)
  }
  const end = (): void => {
    // Balancers that look whether this server is there open a connection and close it again.
    if (octets.length === 0) socket.destroy()
    else refuse(refusal('it hung up within its PROXY header.'))
  }
  const forget = (): void => clearTimeout(timer)
  socket.on('readable', look).on('error', ignore).on('end', end).once('close', forget)
}

const ignore = (): void => {}
