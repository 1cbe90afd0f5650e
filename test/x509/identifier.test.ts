import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RootlingError } from '../../src/errors.ts'
import { isBareWildcard, parseIdentifier, type Identifier } from '../../src/x509/identifier.ts'

function refusal(text: string): RootlingError {
  try {
    parseIdentifier(text)
  } catch (error) {
    if (error instanceof RootlingError) return error
    throw error
  }
  throw new Error(`${JSON.stringify(text)} was understood`)
}

const long = 'a'.repeat(64)
const tooLong = `${'abcdefghi.'.repeat(25)}test`

const refused: [text: string, sentence: string, hint?: string][] = [
  ['a..b', 'The name a..b has two dots in a row.', 'Did you mean a.b?'],
  [
    'localhost:8443',
    'The name localhost:8443 has a port; a certificate is for every port.',
    'Did you mean localhost?',
  ],
  [
    'localhost:',
    'The name localhost: has a port; a certificate is for every port.',
    'Did you mean localhost?',
  ],
  [
    'https://x',
    'The name https://x is a URL; a certificate names only its host.',
    'Did you mean x?',
  ],
  [
    'https://localhost:8443/path?query',
    'The name https://localhost:8443/path?query is a URL; a certificate names only its host.',
    'Did you mean localhost?',
  ],
  [
    'wss://[::1]:9/',
    'The name wss://[::1]:9/ is a URL; a certificate names only its host.',
    'Did you mean ::1?',
  ],
  ['https://', 'The name https:// is not a valid URI.'],
  [
    'localhost/app',
    'The name localhost/app has a path; a certificate names only the host.',
    'Did you mean localhost?',
  ],
  [
    '*.*.test',
    'The name *.*.test has a * that is not the whole first label.',
    'Did you mean *.test?',
  ],
  [
    'foo*.test',
    'The name foo*.test has a * that is not the whole first label.',
    'Did you mean *.foo.test?',
  ],
  [
    'a.*.test',
    'The name a.*.test has a * that is not the whole first label.',
    'Did you mean *.a.test?',
  ],
  ['***', 'The name *** has a * that is not the whole first label.'],
  [
    '*',
    'The name * would be every name; a wildcard needs a domain.',
    'Did you mean *.dev.localhost?',
  ],
  [`${long}.test`, `The name ${long}.test has a label of 64 characters; 63 is the limit.`],
  [tooLong, `The name ${tooLong} is 254 characters long; 253 is the limit.`],
  ['', 'The name "" is empty.', 'Name a host or address, such as localhost'],
  ['.', 'The name . starts with a dot.'],
  ['.test', 'The name .test starts with a dot.', 'Did you mean *.test?'],
  ['localhost..', 'The name localhost.. has two dots in a row.', 'Did you mean localhost.?'],
  ['[::1]', 'The name [::1] has brackets around the address.', 'Did you mean ::1?'],
  ['[::1]:443', 'The name [::1]:443 has brackets around the address.', 'Did you mean ::1?'],
  [
    'fe80::1%eth0',
    'The name fe80::1%eth0 has a zone, which no certificate carries.',
    'Did you mean fe80::1?',
  ],
  [
    '10.0.0.0/8',
    'The name 10.0.0.0/8 is a range; a certificate names single addresses.',
    'Did you mean 10.0.0.0?',
  ],
  [
    'fd00::/8',
    'The name fd00::/8 is a range; a certificate names single addresses.',
    'Did you mean fd00::?',
  ],
  [
    'my host',
    'The name "my host" contains a space or a control character.',
    'Give each name by itself',
  ],
  ['a\tb', String.raw`The name "a\tb" contains a space or a control character.`],
  ['a\u0000b', String.raw`The name "a\u0000b" contains a space or a control character.`],
  ['a\u007fb', 'The name "a\uFFFDb" contains a space or a control character.'],
  ['1.2.3.4.5', 'The name 1.2.3.4.5 looks like an IP address but is not a valid one.'],
  ['127.1', 'The name 127.1 looks like an IP address but is not a valid one.'],
  ['256.1.1.1', 'The name 256.1.1.1 looks like an IP address but is not a valid one.'],
  ['0x7f', 'The name 0x7f looks like an IP address but is not a valid one.'],
  ['１２７.０.０.１', 'The name １２７.０.０.１ looks like an IP address but is not a valid one.'],
  ['1::g', 'The name 1::g is not a valid IPv6 address or name.'],
  ['xn--ü.test', 'The name xn--ü.test is not a valid international domain name.'],
  ['xn--a.test', 'The name xn--a.test is not a valid international domain name.'],
  ['xn--a-.test', 'The name xn--a-.test is not a valid international domain name.'],
  ['a.XN--zzzzzz99999', 'The name a.XN--zzzzzz99999 is not a valid international domain name.'],
  ['a\u{10ffff}.test', 'The name a\u{10ffff}.test is not a valid international domain name.'],
  ['-a.test', 'The name -a.test has a label that starts or ends with a hyphen (-a).'],
  ['a,b', 'The name a,b contains ",", which no host name has.', 'Give each name by itself'],
  ['a%41.test', 'The name a%41.test contains "%", which no host name has.'],
  ['@a.test', 'The name @a.test is not an e-mail address that a certificate can carry.'],
  ['a@b@c.test', 'The name a@b@c.test is not an e-mail address that a certificate can carry.'],
  ['ä@a.test', 'The name ä@a.test is not an e-mail address that a certificate can carry.'],
  ['.a@a.test', 'The name .a@a.test is not an e-mail address that a certificate can carry.'],
  ['a@', 'The name a@ has no host name after the @.'],
  ['a@*.test', 'The name a@*.test has no host name after the @.'],
  ['a@127.0.0.1', 'The name a@127.0.0.1 has no host name after the @.'],
  [
    'mailto:a@b.test',
    'The name mailto:a@b.test is a link, not an address.',
    'Did you mean a@b.test?',
  ],
  ...[
    ...['localhost:@bank.com', 'me@a.test', '@a.test', 'a.test:'],
    ...[
      'a%2ftest',

      'a.%74est',
      '*.test',
      "a'.test",
      'a.test.',
      'a.test?x',
      'a.test#x',
    ],
    ...['0x7f.1', 'a,b', 'a..test'],
  ].map((authority): [string, string, string] => [
    `spiffe://${authority}/x`,
    `The name spiffe://${authority}/x has "${authority}" as its host, which programs read in different ways.`,
    'Name a host alone after the //, as in spiffe://a.test/x',
  ]),
  ...['a.test:x', 'a.test:123456', '[::1', '[1.2.3.4]', '[fe80::1%25lo]'].map(
    (authority): [string, string] => [
      `spiffe://${authority}/x`,
      `The name spiffe://${authority}/x is not a valid URI.`,
    ],
  ),
  [
    'file://localhost/x',
    'The name file://localhost/x has "localhost" as its host, which programs read in different ways.',
    'Name a host alone after the //, as in spiffe://a.test/x',
  ],
  [
    'foo:///a.test',
    'The name foo:///a.test has no host after the //.',
    'Write SCHEME://HOST/PATH, as in spiffe://a.test/x',
  ],
  ...[
    'a.test\\@bank.com/',
    'a.test/"',
    'a.test/%00',
    'a.test/%0a',
    'a.test/%7F',
    'a.test/%4',
    'ä.test/',
  ].map((rest): [string, string] => [
    `spiffe://${rest}`,
    `The name spiffe://${rest} holds characters that a URI cannot.`,
  ]),
  ['spiffe://a.test/ä', 'The name spiffe://a.test/ä holds characters that a URI cannot.'],
]

const understood: readonly (readonly [text: string, type: Identifier['type'], value: string])[] = [
  ['localhost', 'dns', 'localhost'],
  [' LocalHost ', 'dns', 'localhost'],
  ['localhost.', 'dns', 'localhost'],
  ['*.Dev.localhost', 'dns', '*.dev.localhost'],
  ['a_b.test', 'dns', 'a_b.test'],
  [`${long.slice(1)}.test`, 'dns', `${long.slice(1)}.test`],
  ['MÜNCHEN.test', 'dns', 'xn--mnchen-3ya.test'],
  ['xn--mnchen-3ya.test', 'dns', 'xn--mnchen-3ya.test'],
  ['XN--Mnchen-3ya.test', 'dns', 'xn--mnchen-3ya.test'],
  ['*.xn--fa-hia.xn--ls8h', 'dns', '*.xn--fa-hia.xn--ls8h'],
  ['*.例え.テスト', 'dns', '*.xn--r8jz45g.xn--zckzah'],
  ['127.0.0.1', 'ip', '127.0.0.1'],
  ['0:0:0:0:0:0:0:1', 'ip', '::1'],
  ['FD00::00AB', 'ip', 'fd00::ab'],
  ['::ffff:192.0.2.1', 'ip', '::ffff:c000:201'],
  ['Me@Example.TEST', 'email', 'Me@example.test'],
  ['me+tag@bücher.example', 'email', 'me+tag@xn--bcher-kva.example'],
  ['spiffe://dev.test/web', 'uri', 'spiffe://dev.test/web'],
  ['spiffe://DEV.test:8443/a%20b%C3%A4?c=d#e', 'uri', 'spiffe://DEV.test:8443/a%20b%C3%A4?c=d#e'],
  ['spiffe://dev.test', 'uri', 'spiffe://dev.test'],
  ['spiffe://127.0.0.1/x', 'uri', 'spiffe://127.0.0.1/x'],
  ['spiffe://[::1]:9/x', 'uri', 'spiffe://[::1]:9/x'],
  ['urn:uuid:0', 'uri', 'urn:uuid:0'],
]

describe('a name that no certificate can carry', () => {
  test.each(refused)(
    '%j is refused with what is wrong and what was meant',
    (text, sentence, hint) => {
      const error = refusal(text)
      expect(error.code).toBe('bad-name')
      expect(error.message).toBe(sentence)
      expect(error.hint).toBe(hint)
    },
  )

  test('a text of any length is refused without repeating all of it', () => {
    const error = refusal('a'.repeat(100_000))
    expect(error.code).toBe('bad-name')
    expect(error.message.length).toBeLessThan(120)
  })
})

test.each(understood)('%j is understood', (text, type, value) => {
  expect(parseIdentifier(text)).toEqual({ type, value })
})

test('a wildcard directly under a top-level name is what browsers refuse', () => {
  const bare = ['*.test', '*.localhost', '*.home.arpa', '*.app.localhost', 'test', 'a@b.test']
  const answers = bare.map((text) => isBareWildcard(parseIdentifier(text)))
  expect(answers).toEqual([true, true, true, false, false, false])
})

/** Texts near to names: most random strings stumble over their first character. */
const ascii = 'a test xn-- xn--a 0x 127 1 8443 . .. - _ * *. @ : :: / // % [ ] ? # \\'
const schemes = 'https: http:// urn: spiffe:// mailto: data:'
const unusual = ['ü', 'ﬀ', 'é', '１', '。', ' ', '\0', '\u00ad', '\ud800']
const piece = fc.constantFrom(...ascii.split(' '), ...schemes.split(' '), ...unusual)
const nameLike = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('')),
  fc.domain(),
  fc.ipV4(),
  fc.ipV6(),
  fc.emailAddress(),
  fc.webUrl(),
)
const runs = { numRuns: 3000 }

function attempt(text: string): Identifier | RootlingError {
  try {
    return parseIdentifier(text)
  } catch (error) {
    expect(error).toBeInstanceOf(RootlingError)
    return error as RootlingError
  }
}

describe('whatever is typed', () => {
  test('it is understood, or refused as a bad name', () => {
    fc.assert(
      fc.property(nameLike, (text) => {
        const result = attempt(text)
        expect(result instanceof RootlingError ? result.code : 'bad-name').toBe('bad-name')
      }),
      runs,
    )
  })

  test('what was understood is understood again as the same', () => {
    fc.assert(
      fc.property(nameLike, (text) => {
        const result = attempt(text)
        if (result instanceof RootlingError) return
        expect(parseIdentifier(result.value)).toEqual(result)
      }),
      runs,
    )
  })

  test('what a refusal suggests is understood', () => {
    fc.assert(
      fc.property(nameLike, (text) => {
        const result = attempt(text)
        const hint = result instanceof RootlingError ? result.hint : undefined
        const meant = /^Did you mean (.*)\?$/.exec(hint ?? '')?.[1] ?? 'localhost'
        expect(attempt(meant)).not.toBeInstanceOf(RootlingError)
      }),
      runs,
    )
  })

  test('a host that was understood is the host of a URL, letter for letter', () => {
    fc.assert(
      fc.property(nameLike, (text) => {
        const result = attempt(text)
        if (result instanceof RootlingError || (result.type !== 'dns' && result.type !== 'ip'))
          return
        const host = result.value.replace(/^\*\./, '')
        const inUrl = result.type === 'ip' && host.includes(':') ? `[${host}]` : host
        expect(new URL(`https://${inUrl}/`).hostname).toBe(inUrl)
      }),
      runs,
    )
  })
})
