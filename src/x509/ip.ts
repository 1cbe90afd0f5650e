/**
 * Returns what node:net's isIP returns: 4, 6, or 0 for text that is not an IP address. That
 * function would load a module, and Node 20 takes five milliseconds to compile its regular
 * expression for IPv6. Here the parser of URLs, which knows IPv6 addresses too, checks them.
 */
export function isIP(text: string): 0 | 4 | 6 {
  if (!text.includes(':')) return isIPv4(text) ? 4 : 0
  const address = /^([\da-f:.]+)(?:%[\da-z.:-]+)?$/i.exec(text)?.[1]
  return address !== undefined && URL.canParse(`http://[${address}]/`) ? 6 : 0
}

function isIPv4(text: string): boolean {
  const octets = text.split('.')
  return (
    octets.length === 4 && octets.every((each) => /^(?:0|[1-9]\d{0,2})$/.test(each) && +each < 256)
  )
}

/** Writes the address of an IPv4 peer of an IPv6 socket, such as `::ffff:127.0.0.1`, as IPv4. */
export const unmapped = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/i, '')

/** The 4 or 16 octets of a valid address in text form. */
export function ipBytes(text: string): Buffer {
  if (isIPv4(text)) return Buffer.from(text.split('.').map(Number))
  let input = text
  const embedded = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text)
  if (embedded) {
    const v4 = ipBytes(embedded[2] ?? '')
    input = `${embedded[1]}${v4.readUInt16BE(0).toString(16)}:${v4.readUInt16BE(2).toString(16)}`
  }
  const [head = '', tail] = input.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups =
    tail === undefined
      ? left
      : [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right]
  const out = Buffer.alloc(16)
  groups.forEach((group, i) => out.writeUInt16BE(parseInt(group, 16), i * 2))
  return out
}

/** The canonical text of 4 or 16 octets (RFC 5952 for IPv6). */
export function ipText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[i * 2] ?? 0) << 8) | (bytes[i * 2 + 1] ?? 0)).toString(16),
  )
  let best = { start: 0, length: 1 }
  for (let i = 0; i < 8; i++) {
    let length = 0
    while (groups[i + length] === '0') length++
    if (length > best.length) best = { start: i, length }
  }
  if (best.length < 2) return groups.join(':')
  const before = groups.slice(0, best.start).join(':')
  return `${before}::${groups.slice(best.start + best.length).join(':')}`
}

/** A range of addresses: `prefix` leading bits of `address` are fixed. */
export interface IpRange {
  readonly address: Buffer
  readonly prefix: number
}

/**
 * Parses `10.0.0.0/8`, or an address as a range of one. Host bits are cleared. `null`: the text is
 * neither.
 */
export function parseIpRange(text: string): IpRange | null {
  const [host = '', bits, ...rest] = text.split('/')
  if (isIP(host) === 0 || host.includes('%') || rest.length > 0) return null
  const address = ipBytes(host)
  const prefix =
    bits === undefined ? address.length * 8 : /^\d{1,3}$/.test(bits) ? Number(bits) : -1
  if (prefix < 0 || prefix > address.length * 8) return null
  const mask = maskOf(address.length, prefix)
  return { address: Buffer.from(address.map((byte, i) => byte & (mask[i] ?? 0))), prefix }
}

export function ipRangeText(range: IpRange): string {
  return `${ipText(range.address)}/${range.prefix}`
}

export function maskOf(octets: number, prefix: number): Buffer {
  const mask = Buffer.alloc(octets)
  for (let bit = 0; bit < prefix; bit++)
    mask[bit >> 3] = (mask[bit >> 3] ?? 0) | (0x80 >> (bit & 7))
  return mask
}

export function inRange(address: Uint8Array, range: IpRange): boolean {
  if (address.length !== range.address.length) return false
  const mask = maskOf(address.length, range.prefix)
  return mask.every((byte, i) => ((address[i] ?? 0) & byte) === range.address[i])
}
