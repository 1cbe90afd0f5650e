import { describe, expect, test } from 'vitest'
import { sharedName } from '../../../src/cli/shared-apps.ts'
import { phoneAddresses, shareAddress } from '../../../src/sites/share/address.ts'
import { deviceOf, systemOf } from '../../../src/sites/share/device.ts'
import { wordsOf } from '../../../src/sites/share/fingerprint-words.ts'
import { checkPage, sharePage } from '../../../src/sites/share/share-page.ts'

const row = (address: string, internal = false) => ({
  address,
  internal,
  netmask: '255.255.255.0',
  family: 'IPv4' as const,
  mac: '02:00:00:00:00:01',
  cidr: `${address}/24`,
})

describe('the address to share on', () => {
  const lo = [row('127.0.0.1', true)]
  test('is the only private one that is no container’s or tunnel’s', () => {
    const interfaces = {
      lo,
      docker0: [row('172.17.0.1')],
      wg0: [row('10.8.0.2')],
      'vEthernet (WSL (Hyper-V firewall))': [row('172.28.0.1')],
      wlan0: [row('192.168.1.5')],
      eth1: [row('203.0.113.9')],
    }
    expect(shareAddress(undefined, interfaces)).toBe('192.168.1.5')
    expect(shareAddress('10.8.0.2', interfaces)).toBe('10.8.0.2')
  })
  test('must be chosen where there are several', () => {
    const interfaces = { lo, en0: [row('192.168.1.5')], en1: [row('10.0.0.7')] }
    expect(phoneAddresses(interfaces)).toHaveLength(2)
    expect(() => shareAddress(undefined, interfaces)).toThrow(
      'This machine is in several networks: 192.168.1.5 (en0), 10.0.0.7 (en1).',
    )
  })
  test.each(['192.168.1.9', 'shop.local', '', '0.0.0.0'])(
    'is not %j, which is no own one',
    (given) => {
      expect(() => shareAddress(given, { lo, en0: [row('192.168.1.5')] })).toThrow(
        `--address ${given} is no address of this machine.`,
      )
    },
  )
  test('is not one of loopback', () => {
    const interfaces = { lo, en0: [row('192.168.1.5')] }
    expect(() => shareAddress('127.0.0.1', interfaces)).toThrow(
      '--address 127.0.0.1 is reached by no other device.',
    )
  })
  test('is none without a network', () => {
    expect(() => shareAddress(undefined, { lo })).toThrow('This machine is in no private network.')
  })
})

test('a fingerprint has the words of BIP 39 for its first 88 bits', () => {
  // The first of the test vectors of BIP 39, whose entropy is zeros: each group of eleven is 0.
  expect(wordsOf('00'.repeat(32))).toEqual(Array(8).fill('abandon'))
  expect(wordsOf('ff'.repeat(32))).toEqual(Array(8).fill('zoo'))
  // 7f7f…: "legal winner thank year wave sausage worth useful", the second vector.
  expect(wordsOf('7f'.repeat(32)).join(' ')).toBe(
    'legal winner thank year wave sausage worth useful',
  )
})

test.each([
  ['Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15', 'ios'],
  ['Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/131.0', 'android'],
  ['Mozilla/5.0 (Android 15; Mobile; rv:133.0) Gecko/133.0 Firefox/133.0', 'firefox'],
  ['Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0', 'firefox'],
  ['Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/131.0', 'chromeos'],
  ['Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0', 'windows'],
  ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1.15', 'macos'],
  ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0', 'linux'],
  ['curl/8.9', null],
])('%s is %s', (userAgent, system) => {
  expect(systemOf(userAgent)).toBe(system)
  expect(deviceOf(userAgent)).toMatch(/^(?:an? |Firefox)/)
})

test('the pages escape what comes from outside', () => {
  const evil = '<script>alert(1)</script>"\''
  const facts = {
    name: evil,
    fingerprint: '00',
    words: [evil],
    permitted: [evil],
    until: new Date(0),
    checkUrl: `https://x/${evil}`,
    probeUrl: `https://x/${evil}$&`,
    apps: [evil],
    system: null,
  }
  for (const { html } of [sharePage(facts), checkPage(facts)]) {
    expect(html).not.toContain('<script>alert')
    expect(html.match(/<script>/g)?.length ?? 0).toBeLessThanOrEqual(1)
  }
  // The hash of a script that is in the document would change with it.
  expect(sharePage(facts).scriptSource).toBe(sharePage({ ...facts, checkUrl: 'y' }).scriptSource)
  expect(sharePage({ ...facts, permitted: [] }).html).toContain('<b>every website</b>')
})

test.each([
  ['shop.localhost', 'shop.local'],
  ['web.shop.localhost', 'web-shop.local'],
  ['shop.test', 'shop.local'],
  ['shop.local', 'shop.local'],
  ['localhost', 'localhost.local'],
])('%s is shared as %s', (host, name) => {
  expect(sharedName(host)).toBe(name)
})
