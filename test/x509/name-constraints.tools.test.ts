import { createPrivateKey } from 'node:crypto'
import { expect, test } from 'vitest'
import { makeScope } from '../../src/authority/ceremony.ts'
import { randomSerialNumber, signWith, type Signer } from '../../src/x509/certificate.ts'
import type { Identifier } from '../../src/x509/identifier.ts'
import { generateKeys } from '../../src/x509/keys.ts'
import { localConstraints, permits, type NameConstraints } from '../../src/x509/name-constraints.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { leafValidity, signServerLeaf } from '../../src/x509/profiles.ts'
import { hasTool, opensslVerdicts } from '../helpers/tools.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

const work: NameConstraints = {
  dns: [...localConstraints.dns, 'dev.example.com'],
  ip: [...localConstraints.ip, '203.0.113.0/25', '2001:db8:1::/49'],
}
const withoutAddresses: NameConstraints = { dns: localConstraints.dns, ip: [] }

const dns = (...values: string[]): Identifier[] => values.map((value) => ({ type: 'dns', value }))
const ip = (...values: string[]): Identifier[] => values.map((value) => ({ type: 'ip', value }))
const email = (...values: string[]): Identifier[] =>
  values.map((value) => ({ type: 'email', value }))
const uri = (...values: string[]): Identifier[] => values.map((value) => ({ type: 'uri', value }))

const inside = [
  ...dns('localhost', 'a.localhost', 'a.b.localhost', '*.localhost', '*.a.localhost', 'test'),
  ...dns('xn--mnchen-3ya.test', 'home.arpa', 'x.home.arpa', 'a_b.internal', 'bank.com.test'),
  ...ip('127.0.0.0', '127.255.255.255', '10.0.0.0', '10.255.255.255', '172.16.0.0'),
  ...ip('172.31.255.255', '192.168.0.0', '192.168.255.255', '169.254.169.254', '::1', 'fe80::'),
  ...ip('febf:ffff::1', 'fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'),
  ...email('a@localhost', 'a@b.test', 'me+tag@home.arpa', 'A@x.y.example'),
  ...uri(
    'spiffe://test/x',
    'spiffe://a.test/x',
    'foo://a.test:8443/',
    'foo://me@a.test/',
    'x://lan',
  ),
]
const outside = [
  ...dns('bank.com', 'notlocalhost', 'localhost.bank.com', 'test.com', 'arpa', 'a.arpa', '*.com'),
  ...dns('xlocal', 'a.xlocal', '*.arpa', 'example.com', 'dev-example.com', 'xdev.example.com'),
  ...ip('126.255.255.255', '128.0.0.0', '9.255.255.255', '11.0.0.0', '172.15.255.255'),
  ...ip('172.32.0.0', '192.167.255.255', '192.169.0.0', '8.8.8.8', '0.0.0.0', '::', '::2'),
  ...ip('fe7f:ffff::', 'fec0::', 'fbff:ffff::', 'fe00::', '::ffff:7f00:1', '2606:4700::1111'),
  ...email('a@bank.com', 'a@xtest', 'localhost@bank.com', 'a@localhost.bank.com'),
  ...uri(
    'spiffe://bank.com/x',
    'spiffe://xtest/',
    'foo://a.test@bank.com/',
    'foo://bank.com/a.test',
  ),
  ...uri(
    'urn:uuid:0',
    'foo:///a.test',
    'foo://127.0.0.1/',
    'foo://[::1]/',
    'foo://bank.com:1/.test',
  ),
]
const onlyWork = [
  ...dns('dev.example.com', 'a.dev.example.com', '*.dev.example.com'),
  ...ip('203.0.113.0', '203.0.113.127', '2001:db8:1::', '2001:db8:1:7fff::1'),
  ...email('a@dev.example.com', 'a@b.dev.example.com'),
  ...uri('spiffe://dev.example.com/', 'spiffe://x.dev.example.com/'),
]
const beyondWork = [
  ...dns('example.com', 'notdev.example.com', 'dev.example.com.evil.com'),
  ...ip('203.0.113.128', '203.0.112.255', '2001:db8:1:8000::', '2001:db8:0:ffff::'),
  ...email('a@example.com', 'a@xdev.example.com'),
  ...uri('spiffe://example.com/'),
]

const openssl = await hasTool('openssl')
const skipped = openssl ? '' : ' (skipped: openssl is not installed)'

async function verdicts(constraints: NameConstraints, identifiers: readonly Identifier[]) {
  const now = new Date()
  const scope = await makeScope({ name: 'local', permitted: [], constraints }, now)
  const key = createPrivateKey(scope.intermediateKey)
  const signing = signWith(key)
  if (signing === null) throw new Error('the intermediate has an unknown key')
  const signer: Signer = {
    name: Buffer.from(scope.scope.issuerName, 'base64'),
    keyIdentifier: Buffer.from(scope.scope.issuerKeyIdentifier, 'hex'),
    ...signing,
  }
  const { spki } = await generateKeys('p256')
  const validity = leafValidity(now, 90, new Date(now.getTime() + 1e10))
  const leaves = identifiers.map(async (identifier) => {
    const serialNumber = randomSerialNumber()
    const fields = { serialNumber, spki, rsa: false, identifiers: [identifier], ...validity }
    return encodePem('CERTIFICATE', await signServerLeaf(fields, signer))
  })
  return opensslVerdicts(await temporaryDirectory(), scope, await Promise.all(leaves))
}

const all = [...inside, ...outside, ...onlyWork, ...beyondWork]

test.each<[string, NameConstraints, Identifier[]]>([
  ['the local constraints', localConstraints, inside],
  ['constraints with a domain and ranges of one’s own', work, [...inside, ...onlyWork]],
  [
    'constraints that allow no address',
    withoutAddresses,
    inside.filter(({ type }) => type !== 'ip'),
  ],
])('%s permit what the table says', (_, constraints, expected) => {
  expect(all.filter((identifier) => permits(constraints, identifier))).toEqual(
    all.filter((identifier) => expected.includes(identifier)),
  )
})

test.skipIf(!openssl).each<[string, NameConstraints]>([
  ['the local constraints', localConstraints],
  ['constraints with a domain and ranges of one’s own', work],
  ['constraints that allow no address', withoutAddresses],
])(`OpenSSL accepts under %s just what they permit${skipped}`, async (...row) => {
  const [, constraints] = row
  const reasons = await verdicts(constraints, all)
  const accepted = all.filter((_, i) => reasons[i] === null)
  expect(accepted).toEqual(all.filter((identifier) => permits(constraints, identifier)))
})
