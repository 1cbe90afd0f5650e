import { X509Certificate } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { adoptRoot } from '../../src/authority/adopt.ts'
import { ensureAuthority } from '../../src/authority/create.ts'
import { openScope } from '../../src/authority/scope.ts'
import { issueIfNeeded } from '../../src/certificates/if-needed.ts'
import { issue, type IssueRequest } from '../../src/certificates/issue.ts'
import { clientFileOf } from '../../src/certificates/client-file.ts'
import { clientSubject } from '../../src/certificates/names.ts'
import { renew } from '../../src/certificates/renew.ts'
import { revoke, release } from '../../src/certificates/revoke.ts'
import { recordIssued } from '../../src/storage/files/record.ts'
import { exclusively } from '../../src/storage/files/unfinished-writes.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'
import { runTool } from '../helpers/tools.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'

const now = new Date()

async function start() {
  const state = await temporaryState()
  await ensureAuthority(state, now)
  const outDir = await temporaryDirectory()
  const client = async (...names: string[]) => {
    const request = clientSubject<IssueRequest>({ names, purpose: 'client', files: { outDir } })
    const issued = await issue(state, request, now)
    return { ...issued, leaf: new X509Certificate(issued.chain) }
  }
  return { state, outDir, client }
}

/** What OpenSSL says of a client certificate below this root alone. */
async function verify(root: string, file: string): Promise<string> {
  const trust = ['-no-CApath', '-no-CAstore', '-CAfile', root, '-untrusted', file]
  const args = ['verify', '-x509_strict', '-purpose', 'sslclient', ...trust, file]
  const { exitCode, stderr, stdout } = await runTool('openssl', args)
  return exitCode === 0 ? 'OK' : stdout + stderr
}

test.each([
  [['bob'], 'CN=bob', undefined, 'bob-client.pem'],
  [['Bob_1'], 'CN=Bob_1', undefined, 'Bob_1-client.pem'],
  [['bücher'], 'CN=bücher', undefined, 'b_cher-client.pem'],
  [['bob', 'bob@a.test'], 'CN=bob', 'email:bob@a.test', 'bob@a.test-client.pem'],
  [['localhost'], 'CN=localhost', 'DNS:localhost', 'localhost-client.pem'],
  [['db1.test', 'db1'], 'CN=db1.test', 'DNS:db1.test, DNS:db1', 'db1.test+1-client.pem'],
])('the client %j is %s, with the names %s', async (names, subject, alternatives, file) => {
  const { state, outDir, client } = await start()
  const { leaf, record } = await client(...names)
  expect(leaf.subject.replace('O=Rootling development certificate\n', '')).toBe(subject)
  expect(leaf.subjectAltName).toBe(alternatives)
  expect(record.certPath).toBe(join(outDir, file))
  const { rootPath } = await openScope(state, 'clients')
  expect(await verify(rootPath, join(outDir, file))).toBe('OK')
  const [renewal] = await renew(state, { which: 'all' }, {}, now)
  expect(renewal).toMatchObject({ outcome: 'renewed' })
  const renewed = new X509Certificate(await readFile(join(outDir, file)))
  expect([renewed.subject, renewed.subjectAltName]).toEqual([leaf.subject, alternatives])
})

test('a host without a dot stays a host for a server', async () => {
  const { state } = await start()
  const { chain } = await issue(state, { names: ['localhost'], files: null }, now)
  expect(new X509Certificate(chain).subjectAltName).toBe('DNS:localhost')
  const mistake = { names: ['a b'], purpose: 'client', files: null } as const
  expect(() => clientSubject(mistake)).toThrow(expect.objectContaining({ code: 'bad-name' }))
})

test('a user name passes the constraints of an imported root that signs it', async () => {
  const state = await temporaryState()
  const directory = await temporaryDirectory()
  const [certificateFile, keyFile] = [join(directory, 'ca.pem'), join(directory, 'ca-key.pem')]
  const made = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=Team', '-days', '900']
  const { exitCode, stderr } = await runTool('openssl', [
    ...['req', ...made, '-keyout', keyFile, '-out', certificateFile],
    ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
    ...['-addext', 'nameConstraints=critical,permitted;DNS:test'],
  ])
  expect(exitCode, stderr).toBe(0)
  const [certificate, key] = [await readFile(certificateFile), await readFile(keyFile, 'utf8')]
  await adoptRoot(state, { certificate, certificateFile, key, keyFile }, new Date())
  const files = { outDir: directory }
  const bob = { names: ['bob'], purpose: 'client', scope: 'local', files } as const
  const { record } = await issue(state, clientSubject<IssueRequest>(bob), new Date())
  expect(await verify(certificateFile, record.certPath ?? '')).toBe('OK')
  // The control: as a host, bob is outside.
  const host = { ...bob, names: ['bob.example'], files: null }
  await expect(issue(state, host, new Date())).rejects.toMatchObject({ code: 'not-permitted' })
})

test('what an older version issued for DNS:bob is renewed as it was', async () => {
  const { state, outDir, client } = await start()
  // The rest of the record is that of an older version's `issue --client bob`.
  const { record, chain } = await client('bob.', 'x.test')
  expect(record.subject).toBe(undefined)
  await writeFile(join(outDir, 'bob-client.pem'), chain)
  const identifiers = [{ type: 'dns', value: 'bob' }] as const
  const certPath = join(outDir, 'bob-client.pem')
  await exclusively(state, () => recordIssued(state, [{ ...record, identifiers, certPath }]))
  const named = { which: 'named', names: [certPath] } as const
  const [renewal] = await renew(state, named, {}, now)
  expect(renewal).toMatchObject({ outcome: 'renewed', record: { identifiers } })
  const renewed = new X509Certificate(await readFile(certPath))
  expect(renewed.subjectAltName).toBe('DNS:bob')
  expect(renewed.subject).toMatch(/CN=bob$/)
})

test('--if-needed keeps a certificate for the same user', async () => {
  const { state, outDir, client } = await start()
  const { record } = await client('bob')
  const request = { names: ['bob'], purpose: 'client', files: { outDir } } as const
  expect(await issueIfNeeded(state, clientSubject<IssueRequest>(request), now)).toEqual({
    kept: record,
  })
})

test('hints repeat that a certificate is for a client, and its common name', async () => {
  const { state, client } = await start()
  const { record } = await client('bob')
  await revoke(fileStorage(state), { target: record.serialNumber, now })
  const again = release(fileStorage(state), { target: record.serialNumber, now })
  await expect(again).rejects.toMatchObject({ hint: 'rootling issue --client --subject CN=bob' })
  const [renewal] = await renew(state, { which: 'all' }, {}, now)
  expect(renewal).toMatchObject({ hint: 'rootling issue --client --subject CN=bob' })
  await expect(clientFileOf(state, 'bob')).rejects.toMatchObject({
    hint: 'rootling issue --client --subject CN=bob --pkcs12 --force',
  })
})

test('the hint for a missing .p12 repeats the common name beside another name', async () => {
  const { state, outDir } = await start()
  const names = ['dan@example.test']
  const request = { names, purpose: 'client', subject: 'CN=dan', files: { outDir } } as const
  await issue(state, request, now)
  for (const name of ['dan', 'dan@example.test'])
    await expect(clientFileOf(state, name)).rejects.toMatchObject({
      hint: 'rootling issue dan@example.test --client --subject CN=dan --pkcs12 --force',
    })
})
