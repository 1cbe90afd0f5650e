import { describe, expect, test } from 'vitest'
import { balancersIn, parseProxyHeader } from '../../src/server/proxy-protocol.ts'
import { binaryHeader, v4, v6 } from './proxy-headers.ts'

const hello = Buffer.from([22, 3, 1, 2, 0, 1])

describe('a PROXY header', () => {
  test.each([
    ['PROXY TCP4 192.0.2.7 192.0.2.1 56324 443', { address: '192.0.2.7', port: 56324 }],
    ['PROXY TCP4 0.0.0.0 255.255.255.255 0 65535', { address: '0.0.0.0', port: 0 }],
    ['PROXY TCP6 2001:DB8:0::7 ::1 1 443', { address: '2001:db8::7', port: 1 }],
    ['PROXY TCP6 ::ffff:192.0.2.7 ::ffff:c000:201 1 443', { address: '192.0.2.7', port: 1 }],
    ['PROXY UNKNOWN', null],
    ['PROXY UNKNOWN any thing', null],
    [
      'PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535'.replaceAll(
        '...',
        'ff:ffff:ffff:ffff:ffff:fff',
      ),
      null,
    ],
  ])('of version 1 is read: %s', (line, client) => {
    const header = Buffer.from(`${line}\r\n`)
    const read = { client, length: header.length }
    expect(parseProxyHeader(header)).toEqual(read)
    expect(parseProxyHeader(Buffer.concat([header, hello]))).toEqual(read)
  })

  test.each([
    ['IPv4', 0x21, 0x11, v4('192.0.2.7', 56324), { address: '192.0.2.7', port: 56324 }],
    ['IPv6', 0x21, 0x21, v6('2001:db8::7', 56324), { address: '2001:db8::7', port: 56324 }],
    ['IPv4 in IPv6', 0x21, 0x21, v6('::ffff:192.0.2.7', 1), { address: '192.0.2.7', port: 1 }],
    [
      'IPv4 and TLVs up to the longest header',
      0x21,
      0x11,
      Buffer.concat([v4('192.0.2.7', 1), Buffer.alloc(524, 0xea)]),
      { address: '192.0.2.7', port: 1 },
    ],
    ['LOCAL', 0x20, 0x00, Buffer.alloc(0), null],
    ['LOCAL with addresses', 0x20, 0x11, v4('192.0.2.7', 56324), null],
    ['LOCAL with too few octets for its family', 0x20, 0x11, Buffer.alloc(3), null],
    ['no family', 0x21, 0x00, Buffer.alloc(12), null],
    ['datagrams', 0x21, 0x12, v4('192.0.2.7', 56324), null],
    ['a Unix socket', 0x21, 0x31, Buffer.alloc(216), null],
  ])('of version 2 is read: %s', (_, command, family, rest, client) => {
    const header = binaryHeader(command, family, rest)
    const read = { client, length: header.length }
    expect(parseProxyHeader(header)).toEqual(read)
    expect(parseProxyHeader(Buffer.concat([header, hello]))).toEqual(read)
  })

  test('is waited for at each of its octets', () => {
    const line = Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n')
    for (const header of [line, binaryHeader(0x21, 0x21, v6('2001:db8::7', 1))]) {
      for (let length = 0; length < header.length; length++)
        expect(parseProxyHeader(header.subarray(0, length))).toBe(null)
      expect(parseProxyHeader(header)?.length).toBe(header.length)
    }
  })

  test.each<[string, Buffer, string]>([
    ['no header', hello, 'no header'],
    ['a request', Buffer.from('GET / HTTP/1.1\r\n'), 'no header'],
    ['lower case', Buffer.from('proxy TCP4 192.0.2.7 192.0.2.1 1 2\r\n'), 'no header'],
    ['a wrong signature', Buffer.from('\r\n\r\n\0\r\nQUIT\r'), 'no header'],
    ['a line without an end', Buffer.from(`PROXY UNKNOWN ${'a'.repeat(200)}`), 'no end within 107'],
    [
      'a line that is too long',
      Buffer.from(`PROXY UNKNOWN ${'a'.repeat(92)}\r\n`),
      'no end within',
    ],
    ['an end without CR', Buffer.from(`PROXY UNKNOWN\n${'a'.repeat(107)}`), 'no end within'],
    ...[
      'PROXY ',
      'PROXY  TCP4 192.0.2.7 192.0.2.1 1 2',
      'PROXY TCP4 192.0.2.7 192.0.2.1 1  2',
      'PROXY TCP4 192.0.2.7 192.0.2.1 1 2 ',
      'PROXY TCP4 192.0.2.7 192.0.2.1 1',
      'PROXY TCP4 192.0.2.7 192.0.2.1 1 65536',
      'PROXY TCP4 192.0.2.7 192.0.2.1 01 2',
      'PROXY TCP4 192.0.2.7 192.0.2.1 -1 2',
      'PROXY TCP4 192.0.2.07 192.0.2.1 1 2',
      'PROXY TCP4 192.0.2.256 192.0.2.1 1 2',
      'PROXY TCP4 2001:db8::7 2001:db8::1 1 2',
      'PROXY TCP6 192.0.2.7 192.0.2.1 1 2',
      'PROXY TCP6 fe80::1%eth0 fe80::2 1 2',
      'PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2',
      'PROXY TCP5 192.0.2.7 192.0.2.1 1 2',
      'PROXY UNKNOWNTCP4 192.0.2.7 192.0.2.1 1 2',
      'PROXY TCP4 192.0.2.7 192.0.2.1 1 2\nGET / HTTP/1.1',
    ].map(
      (line) =>
        [line, Buffer.from(`${line}\r\n`), 'no valid addresses'] satisfies [string, Buffer, string],
    ),
    ['version 1 in binary', binaryHeader(0x11, 0x11, v4('192.0.2.7', 1)), 'version or command'],
    ['an unknown command', binaryHeader(0x22, 0x11, v4('192.0.2.7', 1)), 'version or command'],
    ['an unknown family', binaryHeader(0x21, 0x41, v4('192.0.2.7', 1)), 'unknown address family'],
    [
      'an unknown transport',
      binaryHeader(0x21, 0x13, v4('192.0.2.7', 1)),
      'unknown address family',
    ],
    ['too few octets for IPv4', binaryHeader(0x21, 0x11, Buffer.alloc(11)), 'too short'],
    ['too few octets for IPv6', binaryHeader(0x21, 0x21, Buffer.alloc(35)), 'too short'],
    ['too many octets', binaryHeader(0x21, 0x11, Buffer.alloc(537)), 'longer than 552'],
    ['the most octets there are', binaryHeader(0x20, 0, Buffer.alloc(65_535)), 'longer than 552'],
  ])('is refused as soon as it is wrong: %s', (_, octets, sentence) => {
    expect(() => parseProxyHeader(octets)).toThrow(sentence)
    // Its length is known before the rest comes in.
    if (octets[0] === 13) expect(() => parseProxyHeader(octets.subarray(0, 16))).toThrow(sentence)
  })
})

describe('balancers', () => {
  test('are known by address and by range', () => {
    const isBalancer = balancersIn(['10.1.0.0/16', '192.0.2.7', '2001:db8::/32'])
    const known = [
      '10.1.255.3',
      '192.0.2.7',
      '::ffff:192.0.2.7',
      '2001:db8:1::',
      '2001:db8::1%eth0',
    ]
    expect(known.map(isBalancer)).toEqual(known.map(() => true))
    const others = ['10.2.0.1', '192.0.2.8', '::ffff:192.0.2.8', '2001:db9::', '::1', '']
    expect(others.map(isBalancer)).toEqual(others.map(() => false))
  })

  test.each(['balancer.example', '10.0.0.0/33', '', '10.0.0.1:443', 'fe80::1%eth0'])(
    'are not given as %s',
    (text) => {
      expect(() => balancersIn([text])).toThrow(`${text} is no address or range of a balancer.`)
    },
  )
})
