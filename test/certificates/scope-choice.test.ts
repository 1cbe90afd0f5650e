import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { findOutdated } from '../../src/certificates/outdated.ts'
import { createIssuer } from '../../src/certificates/issuer.ts'
import { issue, type IssueRequest } from '../../src/certificates/issue.ts'
import { keptCertificate } from '../../src/certificates/kept.ts'
import { renew } from '../../src/certificates/renew.ts'
import { ensureAuthority, permitScope } from '../../src/authority/create.ts'
import { forgetScope } from '../../src/authority/delete.ts'
import { readScopes } from '../../src/authority/scope.ts'
import type { StateDirectory } from '../../src/home/state-directory.ts'
import { readInventory, recordIssued } from '../../src/storage/files/record.ts'
import { rotate } from '../../src/trust/rotate.ts'
import { nameConstraintsOf, readCertificateParts } from '../../src/x509/certificate-reader.ts'
import { inspectCertificate } from '../../src/x509/inspect.ts'
import { generateKeys } from '../../src/x509/keys.ts'
import { pemBlocks } from '../../src/x509/pem.ts'
import { addOldAuthority } from '../helpers/old-authority.ts'
import { createWorld } from '../trust/memory-stores.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'

const now = new Date()
const [serverAuth, clientAuth, emailProtection] = [1, 2, 4].map((n) => `1.3.6.1.5.5.7.3.${n}`)

async function withAuthority(): Promise<StateDirectory> {
  const state = await temporaryState()
  await ensureAuthority(state, now)
  return state
}

async function made(state: StateDirectory, request: Partial<IssueRequest>) {
  const { record, chain } = await issue(state, { names: [], files: null, ...request }, now)
  const scope = (await readScopes(state)).find(({ name }) => name === record.scope)
  if (scope === undefined) throw new Error('no scope')
  return { record, scope, leaf: new X509Certificate(chain), issuer: scope.intermediate }
}

const vpn = { permit: [], name: 'vpn', private: true }

describe('each kind of certificate has an issuer that permits its purpose alone', () => {
  test.each([
    ['servers', { names: ['localhost'] }, 'local', serverAuth],
    ['servers', { names: ['localhost', 'a@localhost'] }, 'local', serverAuth],
    ['clients', { names: ['alice@bank.com'], purpose: 'client' }, 'clients', clientAuth],
    ['mail', { names: ['alice@bank.com'] }, 'mail', emailProtection],
    ['private', { names: ['www.bank.com'], scope: 'vpn' }, 'vpn', serverAuth],
  ] as const)('%s', async (use, request, name, purpose) => {
    const state = await withAuthority()
    await permitScope(state, vpn, now)
    const { record, scope, leaf, issuer } = await made(state, request)
    expect(scope).toMatchObject({ name, use })
    expect(record.scope).toBe(name)
    expect(leaf.keyUsage).toEqual([purpose])
    expect(issuer.keyUsage).toEqual([purpose])
    expect(leaf.verify(issuer.publicKey)).toBe(true)
    expect(issuer.verify(scope.root.publicKey)).toBe(true)
    const foreign = use === 'clients' || use === 'mail'
    expect(scope.root.keyUsage).toEqual(foreign ? [purpose] : undefined)
    expect(nameConstraintsOf(readCertificateParts(issuer.raw)) !== null).toBe(use === 'servers')
  })
})

test('a scope for clients is made once, and under another name where its own is taken', async () => {
  const state = await withAuthority()
  await permitScope(state, { permit: ['a.example.com'], name: 'clients' }, now)
  const request = { names: ['alice'], purpose: 'client' } as const
  const all = await Promise.all([made(state, request), made(state, request), made(state, request)])
  expect(all.map(({ scope }) => scope.name)).toEqual(['clients-2', 'clients-2', 'clients-2'])
  expect((await readScopes(state)).map(({ name }) => name)).toEqual([
    'local',
    'clients',
    'clients-2',
  ])
})

test('a client has no issuer where there is no authority', async () => {
  const state = await temporaryState()
  const request = made(state, { names: ['alice'], purpose: 'client' })
  await expect(request).rejects.toMatchObject({ code: 'no-authority' })
  expect(await readScopes(state)).toEqual([])
})

describe('the subject', () => {
  test.each([
    [{ names: ['alice@a.test'] }, 'CN=alice@a.test', 'email:alice@a.test'],
    [{ names: ['alice.a.test', 'b.test'] }, 'CN=alice.a.test', 'DNS:alice.a.test, DNS:b.test'],
    [{ names: ['alice@a.test'], subject: 'CN=alice,O=X' }, 'O=X\nCN=alice', 'email:alice@a.test'],
    [{ subject: 'CN=alice' }, 'CN=alice', undefined],
  ])('of the client %j', async (request, subject, names) => {
    const { leaf, record } = await made(await withAuthority(), { ...request, purpose: 'client' })
    expect(leaf.subject.replace('O=Rootling development certificate\n', '')).toBe(subject)
    expect(leaf.subjectAltName).toBe(names)
    expect(record.subject).toBe('subject' in request ? request.subject : undefined)
  })

  test('of a client is never a part of its name', async () => {
    const state = await withAuthority()
    const long = `${'a'.repeat(60)}@a.test`
    const request = { names: [long], purpose: 'client' } as const
    await expect(made(state, request)).rejects.toMatchObject({ code: 'usage' })
    const { leaf } = await made(state, { ...request, subject: 'CN=alice' })
    expect([leaf.subject, leaf.subjectAltName]).toEqual(['CN=alice', `email:${long}`])
  })

  test('of a server is refused where a store trusts the root, whoever asks', async () => {
    const state = await withAuthority()
    for (const scope of [undefined, 'local'])
      await expect(
        made(state, { names: ['localhost'], subject: 'CN=localhost', scope }),
      ).rejects.toMatchObject({ code: 'usage', hint: expect.stringContaining('--private') })
  })

  test('of a private scope stays when the certificate is renewed, also after other scopes came', async () => {
    const state = await withAuthority()
    await permitScope(state, vpn, now)
    const files = { outDir: await temporaryDirectory() }
    const request = { names: ['localhost'], scope: 'vpn', subject: 'CN=server', files }
    const { record } = await issue(state, request, now)
    const [renewal] = await renew(state, { which: 'all' }, {}, now)
    expect(renewal).toMatchObject({
      outcome: 'renewed',
      record: { scope: 'vpn', subject: 'CN=server' },
    })
    expect(new X509Certificate(await readFile(record.certPath ?? '')).subject).toBe('CN=server')
    await forgetScope(state, 'vpn')
    expect(await renew(state, { which: 'all' }, {}, now)).toMatchObject([
      { outcome: 'failed', reason: 'There is no scope named vpn.' },
    ])
  })
})

test('a named scope signs only what it is for and what it permits', async () => {
  const state = await withAuthority()
  await permitScope(state, vpn, now)
  await permitScope(state, { permit: ['a.example.com'], name: 'work' }, now)
  await made(state, { names: ['alice'], purpose: 'client' })
  const refused = [
    [{ names: ['localhost'], scope: 'clients' }, 'usage'],
    [{ names: ['alice'], purpose: 'client', scope: 'local' }, 'usage'],
    [{ names: ['alice'], purpose: 'client', scope: 'vpn' }, 'usage'],
    [{ names: ['a@localhost'], scope: 'local' }, 'usage'],
    [{ names: ['a.example.com'], scope: 'local' }, 'not-permitted'],
    [{ names: ['localhost'], scope: 'nope' }, 'no-scope'],
  ] as const
  for (const [request, code] of refused)
    await expect(made(state, request), JSON.stringify(request)).rejects.toMatchObject({ code })
  const { scope } = await made(state, { names: ['localhost'], scope: 'work' })
  expect(scope.name).toBe('work')
})

test('a renewal stays in the scope that was chosen', async () => {
  const state = await withAuthority()
  await permitScope(state, { permit: ['a.example.com'], name: 'work' }, now)
  const files = { outDir: await temporaryDirectory() }
  await issue(state, { names: ['localhost'], scope: 'work', files }, now)
  const [renewal] = await renew(state, { which: 'all' }, {}, now)
  expect(renewal).toMatchObject({ outcome: 'renewed', record: { scope: 'work' } })
})

test('what an older version signed is found, and a rotation leaves none of it', async () => {
  const state = await temporaryState()
  await addOldAuthority(state)
  const files = { outDir: await temporaryDirectory() }
  const { record: server } = await issue(state, { names: ['localhost'], files }, now)
  const client = { names: ['alice'], purpose: 'client', files } as const
  const { record } = await issue(state, client, now)
  expect(record.scope).toBe('clients')
  const scopes = await readScopes(state)
  expect(findOutdated(scopes, [server, record])).toMatchObject({
    scopes: [{ name: 'local' }],
    certificates: [server],
  })
  const world = createWorld(state, [])
  expect(await rotate(world, {}, 'local')).toMatchObject({ stoppedAt: null })
  const { certificates } = await readInventory(state)
  expect(findOutdated(await readScopes(state), certificates)).toEqual({
    scopes: [],
    certificates: [],
  })
})

test('an old client certificate is renewed by the scope for clients', async () => {
  const state = await temporaryState()
  await addOldAuthority(state)
  const files = { outDir: await temporaryDirectory() }
  const { record } = await issue(state, { names: ['alice.test'], files }, now)
  // As an older version wrote it: a client of the scope of servers.
  await recordIssued(state, [{ ...record, purpose: 'client' }])
  const [renewal] = await renew(state, { which: 'all' }, {}, now)
  expect(renewal).toMatchObject({ outcome: 'renewed', record: { scope: 'clients' } })
})

test.each([
  ['p256', ['digitalSignature', 'keyAgreement']],
  ['rsa2048', ['digitalSignature', 'keyEncipherment']],
  ['ed25519', ['digitalSignature']],
] as const)('a mail certificate of a %s key says what its key can do', async (keyType, usage) => {
  const { leaf } = await made(await withAuthority(), { names: ['alice@a.test'], keyType })
  expect(inspectCertificate(leaf.raw).keyUsage).toEqual(usage)
})

test('what clients ask for from a server goes to no private scope', async () => {
  const state = await withAuthority()
  await permitScope(state, vpn, now)
  const { spki } = await generateKeys('p256')
  const request = { purpose: 'server', spki, keyType: 'p256', lifetime: 7 } as const
  const issuer = createIssuer(fileStorage(state), () => now)
  const names = (value: string) => ({ ...request, identifiers: [{ type: 'dns', value }] }) as const
  expect((await issuer.sign(names('localhost'))).facts.scope).toBe('local')
  await expect(issuer.sign(names('www.bank.com'))).rejects.toMatchObject({ code: 'not-permitted' })
})

test('a subject does not follow the name of a private scope into a scope that stores trust', async () => {
  const state = await withAuthority()
  await permitScope(state, vpn, now)
  const files = { outDir: await temporaryDirectory() }
  const request = { names: ['a.example.com'], scope: 'vpn', subject: 'CN=server', files }
  await issue(state, request, now)
  await forgetScope(state, 'vpn')
  await permitScope(state, { permit: ['a.example.com'], name: 'vpn' }, now)
  expect(await renew(state, { which: 'all' }, {}, now)).toMatchObject([
    { outcome: 'failed', reason: expect.stringContaining('no common name') },
  ])
})

test('the certificate of certificateFor is kept, also one for mail alone', async () => {
  const state = await withAuthority()
  for (const names of [['a@localhost'], ['a@localhost', 'localhost']]) {
    const first = await keptCertificate(state, names, {}, now)
    expect((await keptCertificate(state, names, {}, now)).serialNumber).toBe(first.serialNumber)
    const [leaf, intermediate] = pemBlocks(first.cert).map(({ der }) => new X509Certificate(der))
    if (leaf === undefined || intermediate === undefined) throw new Error('no chain')
    expect(intermediate.verify(new X509Certificate(first.ca).publicKey)).toBe(true)
    expect(leaf.verify(intermediate.publicKey)).toBe(true)
  }
})

test('two commands that make the scope for clients at once may write the same file', async () => {
  const state = await withAuthority()
  const files = { outDir: await temporaryDirectory() }
  const request = { names: ['alice'], purpose: 'client', files } as const
  const both = await Promise.all([issue(state, request, now), issue(state, request, now)])
  expect(both.map(({ record }) => record.scope)).toEqual(['clients', 'clients'])
})
