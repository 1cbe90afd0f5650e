import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { readLab, securityPath, withSummary } from './security-lab.ts'
import { shapes } from './shapes.ts'

// docs/security-lab.md is what the verifiers said; here SECURITY.md is held to it.

const lab = await readLab()
const security = await readFile(securityPath, 'utf8')

/** The verifiers with this verdict on a forgery. */
function verifiers(title: string, verdict: boolean): string[] {
  return lab.filter((column) => column.verdicts.get(title) === verdict).map(({ name }) => name)
}
const titles = [...shapes.keys()]
const matching = (pattern: RegExp) => titles.filter((title) => pattern.test(title))
/** Each verifier once that accepts any of the forgeries whose title matches. */
const acceptors = (pattern: RegExp) =>
  new Set(matching(pattern).flatMap((title) => verifiers(title, true)))

test('the table has every forgery, and every verifier accepts its controls', () => {
  expect(titles.length).toBeGreaterThanOrEqual(70)
  expect(lab.length).toBeGreaterThanOrEqual(18)
  for (const { name, verdicts } of lab) {
    expect([name, [...verdicts.keys()]]).toEqual([name, titles])
    const controls = new Set(matching(/^controls/).map((title) => verdicts.get(title)))
    expect([name, controls.has(false), controls.has(true)]).toEqual([name, false, true])
  }
})

test('the summary in SECURITY.md is that of the table', () => {
  expect(security).toBe(withSummary(security, lab))
})

/**
 * What SECURITY.md says in words: the sentence, the forgeries, and all verifiers that accept any of
 * them.
 */
const claims: readonly (readonly [
  sentence: string,
  forgeries: RegExp,
  accepting: RegExp | null,
])[] = [
  ['Hosts and addresses in the SAN: nothing.', /^(?:DNS names|addresses|CAs): /, null],
  [
    'A plain `CN=bank.com` or IPv4 address is refused by all.',
    /^common names: (?:a CN|an IPv4)/,
    null,
  ],
  ['or a single label', /^common names: one label$/, /^(?:openssl|Node|curl|Python|PHP|Ruby|Perl)/],
  [
    'Go, GnuTLS (wget, gnutls-cli), Chromium and Firefox accept no CN at all',
    /^(?:common names|other attributes): /,
    /^(?:openssl|Node|curl|Python|PHP|Ruby|Perl|HttpsURLConnection|tstclnt)/,
  ],
  [
    'Node, curl, Ruby and Perl also take `bank.com.`',
    /^common names: a trailing dot/,
    /^(?:Node|curl|Ruby|Perl)/,
  ],
  ['curl, PHP and Ruby an IPv6 address', /^common names: an IPv6/, /^(?:curl|PHP|Ruby)/],
  [
    'PHP, Ruby and Java even `*.com`',
    /^common names: a wildcard of a top/,
    /^(?:PHP|Ruby|HttpsURLConnection)/,
  ],
  [
    'OpenSSL, GnuTLS and Go refuse every client that the key signs',
    /^other uses: a client|a Windows user/,
    /^(?:vfychain|CertPathValidator|HttpsURLConnection)/,
  ],
  [
    'lets in `O=system:masters` without a CN',
    /^other uses: a client O=system:masters without a CN/,
    /^(?:vfychain|CertPathValidator|HttpsURLConnection)/,
  ],
  [
    'OpenSSL and Java do not ask the intermediate for these purposes',
    /^other uses: (?:code|time)/,
    /^(?:openssl|CertPathValidator)/,
  ],
  ['NSS accepts OCSP responses', /^other uses: OCSP/, /^(?:openssl|CertPathValidator|vfychain)/],
  ['but Java takes local and UTF-8 ones', /^mailboxes: /, /^CertPathValidator/],
  ['GnuTLS holds no URI to the constraints', /^URIs: a URI$/, /^certtool/],
  ['`https://localhost:@bank.com/`', /^URIs: .* empty password/, /^(?:certtool|openssl|vfychain)/],
  ['Go and Java refuse all', /^URIs: /, /^(?:certtool|openssl|vfychain)/],
  [
    'every verifier of chains accepts them',
    /^other names: (?!a Windows)/,
    /^(?:openssl|certtool|vfychain|crypto|CertPathValidator)/,
  ],
]

test.each(claims)('SECURITY.md says it, and the table too: %s', (sentence, pattern, accepting) => {
  expect(security).toContain(sentence)
  expect(matching(pattern)).not.toEqual([])
  const named = accepting === null ? [] : lab.filter(({ name }) => accepting.test(name))
  expect(acceptors(pattern)).toEqual(new Set(named.map(({ name }) => name)))
})

test('the browsers, Go and GnuTLS were asked about common names, and refused each', () => {
  const wildcard = 'common names: a wildcard'
  const refusing = verifiers(wildcard, false)
  for (const client of ['chromium', 'firefox', 'wget', 'gnutls-cli', 'crypto/x509 of Go'])
    expect(refusing).toContain(client)
})
