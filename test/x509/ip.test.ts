import * as fc from 'fast-check'
import * as net from 'node:net'
import { BlockList, SocketAddress } from 'node:net'
import { expect, test } from 'vitest'
import {
  inRange,
  ipBytes,
  ipRangeText,
  ipText,
  isIP,
  maskOf,
  parseIpRange,
} from '../../src/x509/ip.ts'

const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
/** Addresses with runs of zeros, which random octets hardly ever have. */
const sparse = fc
  .array(fc.constantFrom(0, 0, 0, 1, 0xff, 0xabcd), { minLength: 8, maxLength: 8 })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255])))
const anyV6 = fc.oneof(octets(16), sparse)

const viaUrl = (text: string) => new URL(`http://[${text}]/`).hostname.slice(1, -1)

test('what is an address, and of which family, is as node:net says', () => {
  const characters = fc.constantFrom(...'0123456789abcdefF:::::....%g'.split(''))
  const group = fc.oneof(fc.integer({ max: 70_000, min: 0 }).map(String), fc.constantFrom('', '0'))
  const text = fc.oneof(
    fc.array(characters, { maxLength: 20 }).map((parts) => parts.join('')),
    fc.array(group, { minLength: 2, maxLength: 9 }).map((parts) => parts.join(':')),
    fc.array(group, { minLength: 3, maxLength: 5 }).map((parts) => parts.join('.')),
    fc.tuple(fc.ipV6(), fc.ipV4()).map(([v6, v4]) => v6.replace(/[^:]*$/, v4)),
    fc.tuple(fc.ipV6(), fc.constantFrom('%eth0', '%', '%1', '%a_b')).map((parts) => parts.join('')),
    fc.oneof(fc.ipV4(), fc.ipV6()),
  )
  fc.assert(
    fc.property(text, (given) => {
      expect([given, isIP(given)]).toEqual([given, net.isIP(given)])
    }),
    { numRuns: 20_000 },
  )
})

test('IPv4 octets come back from their text', () => {
  fc.assert(
    fc.property(octets(4), (bytes) => {
      expect([...ipBytes(ipText(bytes))]).toEqual([...bytes])
      expect(isIP(ipText(bytes))).toBe(4)
    }),
  )
})

test('IPv6 octets come back from their text, which is the one that a URL gives', () => {
  fc.assert(
    fc.property(anyV6, (bytes) => {
      const text = ipText(bytes)
      expect(viaUrl(text)).toBe(text)
      expect([...ipBytes(text)]).toEqual([...bytes])
    }),
    { numRuns: 2000 },
  )
})

test('every spelling of an IPv6 address means the octets that Node means by it', () => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      expect(ipText(ipBytes(text))).toBe(viaUrl(text))
      const address = new SocketAddress({ family: 'ipv6', address: text }).address
      expect(ipBytes(address)).toEqual(ipBytes(text))
    }),
    { numRuns: 2000 },
  )
})

test.each([
  ['::', '::'],
  ['::1', '::1'],
  ['1::', '1::'],
  ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
  ['1:0:0:2:3:0:0:4', '1::2:3:0:0:4'],
  ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
  ['::ffff:10.0.0.1', '::ffff:a00:1'],
  ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
])('%s is written as %s', (text, canonical) => {
  expect(ipText(ipBytes(text))).toBe(canonical)
})

test('a range holds the addresses that Node says it holds, of its own family alone', () => {
  const family = fc.constantFrom<4 | 16>(4, 16)
  const cases = family.chain((length) =>
    fc.tuple(octets(length), octets(length), fc.nat(length * 8), fc.nat(length * 8)),
  )
  fc.assert(
    fc.property(cases, ([base, other, prefix, same]) => {
      // Shares its first bits with the range, so that both answers occur.
      const mask = maskOf(base.length, same)
      const near = other.map((byte, i) => {
        const keep = mask[i] ?? 0
        return ((base[i] ?? 0) & keep) | (byte & ~keep & 255)
      })
      const range = parseIpRange(`${ipText(base)}/${prefix}`)
      if (range === null) throw new Error('a valid range was refused')
      const family = base.length === 4 ? 'ipv4' : 'ipv6'
      // BlockList holds a mapped IPv4 address to the IPv4 rules as well; there are none here.
      const list = new BlockList()
      list.addSubnet(ipText(base), prefix, family)
      expect(inRange(near, range)).toBe(list.check(ipText(near), family))
      expect(inRange(new Uint8Array(20 - base.length), range)).toBe(false)
    }),
    { numRuns: 2000 },
  )
})

test('a range is written with its host bits cleared, and read back as the same', () => {
  fc.assert(
    fc.property(fc.oneof(octets(4), anyV6), fc.nat(128), (bytes, bits) => {
      const prefix = Math.min(bits, bytes.length * 8)
      const range = parseIpRange(`${ipText(bytes)}/${prefix}`)
      if (range === null) throw new Error('a valid range was refused')
      expect(inRange(bytes, range)).toBe(true)
      expect(parseIpRange(ipRangeText(range))).toEqual(range)
    }),
  )
  expect(ipRangeText(parseIpRange('10.1.2.3/8') ?? never())).toBe('10.0.0.0/8')
  expect(ipRangeText(parseIpRange('10.1.2.3') ?? never())).toBe('10.1.2.3/32')
  expect(ipRangeText(parseIpRange('fe80::1') ?? never())).toBe('fe80::1/128')
})

function never(): never {
  throw new Error('a valid range was refused')
}

const noRanges = '/ /8 10.0.0.0/ 10.0.0.0/33 10.0.0.0/-1 10.0.0.0/8/8 10.0.0.0/a 10.0.0.0/0x8 '
test.each(`${noRanges} 10.0.0/8 ::/129 fe80::1%eth0/64 localhost/8`.split(' '))(
  '%j is no range',
  (text) => {
    expect(parseIpRange(text)).toBeNull()
  },
)
