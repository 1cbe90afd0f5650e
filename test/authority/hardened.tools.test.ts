import { X509Certificate } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { certificatesIn } from '../../platform/pem.ts'
import { issue } from '../../src/certificates/issue.ts'
import { describeMaySign } from '../../src/doctor/messages.ts'
import { show } from '../../src/doctor/show.ts'
import { loadKeyPair } from '../../src/server/key-pair.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { makeWorld, openssl, type World } from '../helpers/authority.ts'
import { opensslVerdicts } from '../helpers/tools.ts'
import { forge } from '../outside/adversary/forgeries.ts'
import { startResponder } from '../sites/revocation/responder.ts'

const control = 'controls: a host inside'

/** Which forgeries OpenSSL accepts for the host that they claim, below these roots. */
async function accepted({ state, scope, directory }: World, root: string): Promise<string[]> {
  const forgeries = await forge(state, scope, new Date())
  const hosts = forgeries.filter(
    ({ title, shape, identifier, use }) =>
      title === control ||
      (shape.control === undefined &&
        identifier.type === 'dns' &&
        use === 'server' &&
        shape.asked !== ''),
  )
  const titles: string[] = []
  for (const asked of new Set(hosts.map((each) => each.asked))) {
    const group = hosts.filter((each) => each.asked === asked)
    const intermediate = [...new Set(group.map((each) => each.intermediate))].join('')
    const args = ['-purpose', 'sslserver', '-verify_hostname', asked]
    const leaves = group.map(({ leaf }) => leaf)
    const said = await opensslVerdicts(directory, { root, intermediate }, leaves, args)
    titles.push(...group.filter((_, i) => said[i] === null).map(({ title }) => title))
  }
  return titles
}

test('OpenSSL refuses every common name by the copies, in either order, but not by the root', async () => {
  const world = await makeWorld({ hardened: true })
  const copies = await readFile(world.path('root-openssl.pem'), 'utf8')
  const [excluding, notCa] = certificatesIn(copies).map((der) => encodePem('CERTIFICATE', der))
  expect(await accepted(world, copies)).toEqual([control])
  expect(await accepted(world, `${notCa}${excluding}`)).toEqual([control])
  expect(await accepted(world, notCa ?? '')).toEqual([])
  const byRoot = await accepted(world, world.scope.root.toString())
  expect(byRoot).toEqual(
    expect.arrayContaining([
      control,
      'common names: a wildcard',
      'common names: a wildcard as BMPString',
    ]),
  )
})

test('every certificate is as RFC 5280 wants it', async () => {
  const world = await makeWorld({ hardened: true })
  await world.issue('good')
  const text = (name: string): Promise<string> =>
    openssl('x509', '-in', world.path(name), '-noout', '-text')
  const leaf = await text('good.pem')
  expect(leaf).toMatch(/Subject: *\n/)
  expect(leaf).toMatch(/Subject Alternative Name: critical/)
  const { root, intermediate } = world.scope
  expect(intermediate.subject).toBe(root.subject)
  expect(await text('intermediate.pem')).not.toMatch(/DirName|Excluded/)
  expect(await text('root.pem')).toMatch(/Name Constraints: critical/)
  expect(await text('root.pem')).not.toMatch(/DirName/)
  const copies = await readFile(world.path('root-openssl.pem'), 'utf8')
  const [excluding, notCa] = certificatesIn(copies).map((der) => new X509Certificate(der))
  for (const copy of [excluding, notCa]) {
    expect(copy?.subject).toBe(root.subject)
    expect(copy?.publicKey.equals(root.publicKey)).toBe(true)
    expect(copy?.verify(root.publicKey)).toBe(true)
  }
  expect([excluding?.ca, notCa?.ca]).toEqual([true, false])
  await writeFile(world.path('excluding.pem'), excluding?.toString() ?? '')
  expect(await text('excluding.pem')).toMatch(/Name Constraints: *\n[^]*Excluded:\s+DirName: *\n/)
  await writeFile(world.path('not-ca.pem'), notCa?.toString() ?? '')
  expect(await text('not-ca.pem')).toMatch(/Name Constraints: critical/)
})

test('lists of revoked certificates work as in an ordinary scope, though root and issuer have one name', async () => {
  const world = await makeWorld({ hardened: true })
  const bad = await world.issue('bad')
  await world.issue('good')
  await world.revoke(bad, 'keyCompromise')
  await world.writeCrls()
  const verify = (name: string, crls: string, ...flags: string[]): Promise<string> =>
    openssl(
      'verify',
      '-x509_strict',
      '-CAfile',
      world.path('root-openssl.pem'),
      '-untrusted',
      world.path('intermediate.pem'),
      '-CRLfile',
      world.path(crls),
      '-crl_check',
      ...flags,
      world.path(`${name}.pem`),
    )
  expect(await verify('good', 'crls.pem', '-crl_check_all')).toMatch(/good\.pem: OK/)
  expect(await verify('bad', 'crls.pem', '-crl_check_all')).toMatch(/certificate revoked/)
  expect(await verify('good', 'crl.pem')).toMatch(/good\.pem: OK/)
  expect(await verify('bad', 'crl.pem')).toMatch(/certificate revoked/)
  expect(await verify('good', 'crl.pem', '-crl_check_all')).toMatch(/unable to get cert.* CRL/)
  // The root's own list is empty, and must not pass for the list of leaves.
  expect(await verify('bad', 'root-crl.pem')).not.toMatch(/bad\.pem: OK/)
})

test('OpenSSL is told the truth by OCSP', async () => {
  const world = await makeWorld({ hardened: true })
  await world.issue('good')
  await world.revoke(await world.issue('bad'), 'keyCompromise')
  const { url } = await startResponder(world.state)
  const ask = (name: string): Promise<string> =>
    openssl(
      'ocsp',
      '-issuer',
      world.path('intermediate.pem'),
      '-CAfile',
      world.path('cas.pem'),
      '-url',
      `${url}/ocsp`,
      '-cert',
      world.path(`${name}.pem`),
    )
  expect(await ask('good')).toMatch(/good\.pem: good[^]*Response verify OK/)
  expect(await ask('bad')).toMatch(/bad\.pem: revoked/)
})

test('show finds the chain of a leaf without a subject, and no fault in it', async () => {
  const world = await makeWorld({ hardened: true })
  await world.issue('good')
  const explain = async (name: string, contents: string) => {
    const target = { from: 'file' as const, name, contents: Buffer.from(contents) }
    const { certificates } = await show(world.state, target, new Date())
    return certificates.map(({ role, chain, scope, facts, findings }) => ({
      role,
      chain,
      scope,
      issuer: facts.issuer,
      selfSigned: facts.selfSigned,
      codes: findings.map(({ code }) => code),
    }))
  }
  const chain = await readFile(world.path('good.pem'), 'utf8')
  const known = { chain: 'complete', scope: 'local' }
  // Bun's fault with addresses is that of every scope.
  expect(await explain('good.pem', chain)).toMatchObject([
    { role: 'leaf', ...known, selfSigned: false, codes: ['ip-under-constraints'] },
    { role: 'intermediate', ...known, selfSigned: false, codes: [] },
  ])
  const [leaf = ''] = chain.split(/(?<=-----END CERTIFICATE-----\n)/)
  expect(await explain('leaf.pem', leaf)).toMatchObject([
    { role: 'leaf', chain: 'incomplete', codes: ['missing-intermediate', 'ip-under-constraints'] },
  ])
  expect(await explain('root.pem', world.scope.root.toString())).toMatchObject([
    { role: 'root', ...known, selfSigned: true, codes: [] },
  ])
})

test('show takes both copies for the root that they are', async () => {
  const world = await makeWorld({ hardened: true })
  const contents = await readFile(world.path('root-openssl.pem'))
  const target = { from: 'file' as const, name: 'root-openssl.pem', contents }
  const { certificates } = await show(world.state, target, new Date())
  expect(certificates).toMatchObject([
    { role: 'root', scope: 'local', findings: [] },
    { role: 'root', scope: 'local', findings: [] },
  ])
  const [excluding] = certificates
  expect(describeMaySign(excluding?.facts.nameConstraints ?? null)).toMatch(
    /^only localhost, .*; not any subject that is not empty$/,
  )
})

test('a server is told that the intermediate of a leaf without a subject is missing', async () => {
  const world = await makeWorld({ hardened: true })
  await world.issue('good')
  const [leaf = ''] = (await readFile(world.path('good.pem'), 'utf8')).split(
    /(?<=-----END CERTIFICATE-----\n)/,
  )
  const key = await readFile(world.path('good-key.pem'), 'utf8')
  const { warnings } = loadKeyPair(leaf, key, new Date(), { roots: [world.scope.root.toString()] })
  expect(warnings).toMatchObject([
    {
      code: 'intermediate-missing',
      sentence: expect.stringContaining('ends at “DNS:localhost'),
    },
  ])
})

test('a PKCS #12 file and a DER file hold a leaf without a subject', async () => {
  const world = await makeWorld({ hardened: true })
  const files = { certPath: world.path('a.pem'), keyPath: world.path('a-key.pem') }
  const extra = { pkcs12: world.path('a.p12'), der: world.path('a.der') }
  const pkcs12 = { password: 'secret', legacy: false }
  const request = { names: ['localhost'], files: { ...files, extra }, pkcs12 }
  await issue(world.state, request, new Date())
  const list = ['-in', world.path('a.p12'), '-passin', 'pass:secret', '-nokeys']
  expect(await openssl('pkcs12', ...list)).toMatch(/subject=\n/)
  expect(await openssl('x509', '-in', world.path('a.der'), '-noout', '-subject')).toMatch(
    /^subject=\n/,
  )
})

test('a file of a hardened certificate is replaced by the next one', async () => {
  const world = await makeWorld({ hardened: true })
  const first = await world.issue('good')
  const second = await world.issue('good')
  expect(second.serialNumber).not.toBe(first.serialNumber)
})
