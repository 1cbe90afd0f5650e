import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:http2'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SecureVersion } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { createIssuer } from '../../src/certificates/issuer.ts'
import { RootlingError } from '../../src/errors.ts'
import {
  createAdminCertificate,
  ensureAdminScope,
  listAdminCertificates,
  revokeAdminCertificate,
} from '../../src/replica/admin-certificates.ts'
import { openAdminHttps } from '../../src/replica/admin-https.ts'
import type { AdminHandler } from '../../src/replica/admin-requests.ts'
import { readAdministrators } from '../../src/replica/administrators.ts'
import { foundAuthority } from '../../src/replica/found.ts'
import { createJsonLog } from '../../src/replica/json-log.ts'
import { ownCertificate } from '../../src/replica/own-certificate.ts'
import { sealWith } from '../../src/storage/postgres/seal.ts'
import { postgresStorage } from '../../src/storage/postgres/storage.ts'
import { parseIdentifier } from '../../src/x509/identifier.ts'
import { generateKeys } from '../../src/x509/keys.ts'
import { fingerprintOf } from '../../src/x509/parsed-certificate.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { makeRequest } from '../../src/x509/request.ts'
import { usePostgres } from '../helpers/postgres.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'

const postgres = usePostgres()
const sealer = sealWith('correct horse battery')
const by = { actor: 'administrator by the socket', isLocal: true }

interface Identity {
  readonly cert: string
  readonly key: string
}

/** The database of a team, with certificates of administrators. */
async function openTeam() {
  const url = await postgres.create()
  const database = postgres.open(url)
  const storage = postgresStorage(database, sealer)
  const now = () => new Date()
  const { scope } = await foundAuthority(storage, { permit: ['localhost'], force: true }, now())
  const world = { database, storage, now }
  const keyPair = async () => {
    const keys = await generateKeys('p256')
    return { keys, key: encodePem('PRIVATE KEY', keys.pkcs8) }
  }
  return {
    ...world,
    url,
    root: scope.root.toString(),
    async certify(name: string, made = world) {
      const { keys, key } = await keyPair()
      const signing = createPrivateKey(key)
      const der = makeRequest({ identifiers: [parseIdentifier('other')], keys, key: signing })
      const csr = encodePem('CERTIFICATE REQUEST', der)
      const { certificate, serialNumber } = await createAdminCertificate(made, { name, csr }, by)
      return { cert: certificate, key, serialNumber }
    },
    /** What ACME issues: a server certificate. */
    async serverCertificate(name: string): Promise<Identity> {
      const { keys, key } = await keyPair()
      const identifiers = [parseIdentifier(name)]
      const leaf = await createIssuer(storage, now).sign({
        ...{ identifiers, purpose: 'server', spki: keys.spki, keyType: 'p256', lifetime: 7 },
      })
      return { cert: leaf.chain, key }
    },
  }
}
type Team = Awaited<ReturnType<typeof openTeam>>

const handler: AdminHandler = (method, parameters, { actor, isLocal }) => {
  if (method === 'refuse') throw new RootlingError('usage', 'Not so.')
  if (method === 'fail') throw new Error('secret')
  return Promise.resolve({ method, parameters, actor, isLocal })
}

async function serve(team: Team, names: readonly string[], now = team.now) {
  const lines: string[] = []
  const errors: unknown[] = []
  const pair = await ownCertificate({
    storage: team.storage,
    host: 'localhost',
    now: team.now,
    onRenewed: () => undefined,
    onFailed: () => undefined,
  })
  const server = await openAdminHttps({
    storage: team.storage,
    pair: pair.current(),
    host: '127.0.0.1',
    port: 0,
    administrators: readAdministrators(names),
    handler,
    log: createJsonLog({
      write: (line) => lines.push(line),
      now: team.now,
      routeOf: (path) => path,
    }),
    now,
    onError: (error) => errors.push(error),
  })
  onTestFinished(async () => {
    pair.stop()
    await server.close({ drainMilliseconds: 0 })
  })
  return { port: server.port, log: () => lines.join(''), errors }
}

interface Sent {
  readonly method?: string
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly maxVersion?: SecureVersion
}

/** Returns the status and the answer, or the code of the error. */
function ask(
  { port }: { readonly port: number },
  ca: string,
  identity: Identity | null,
  { body = '{}', method = 'POST', headers = {}, maxVersion = 'TLSv1.3' }: Sent = {},
): Promise<{ readonly status: number; readonly answer: any } | string> {
  return new Promise((resolve) => {
    const sent = request(
      {
        ...{ host: 'localhost', family: 4, port, path: '/look', ca, method, headers, maxVersion },
        ...(identity === null ? {} : { cert: identity.cert, key: identity.key }),
        agent: new Agent({ maxCachedSessions: 0 }),
      },
      (response) => {
        let text = ''
        response.on('data', (chunk) => (text += String(chunk)))
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, answer: JSON.parse(text) as unknown }),
        )
      },
    )
    sent.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    sent.end(body)
  })
}

const alice = 'alice@team.internal'

test('lets in whom it names, and the handler learns who it is', async () => {
  const team = await openTeam()
  const bob = await team.certify('bob@team.internal')
  const fingerprint = fingerprintOf(new X509Certificate(bob.cert))
  const server = await serve(team, [alice, 'spiffe://team.internal/ci', fingerprint.toUpperCase()])
  const known = [
    [await team.certify(alice), alice],
    [await team.certify('spiffe://team.internal/ci'), 'spiffe://team.internal/ci'],
    [bob, fingerprint],
  ] as const
  for (const [identity, name] of known)
    expect(await ask(server, team.root, identity, { body: '{"a":["b"]}' })).toEqual({
      status: 200,
      answer: {
        result: {
          ...{ method: 'look', parameters: { a: ['b'] }, isLocal: false },
          actor: `administrator ${name}`,
        },
      },
    })
  expect(server.log()).toContain(`"account":"administrator ${alice}"`)
})

test('lets in nobody else: each is refused with its reason', async () => {
  const team = await openTeam()
  const other = await openTeam()
  const server = await serve(team, [alice, 'ops.localhost'])
  const refused = async (identity: Identity | null, alert: string) =>
    expect(await ask(server, team.root, identity)).toMatch(new RegExp(`_ALERT_${alert}$`))
  await refused(null, 'CERTIFICATE_REQUIRED')
  // A certificate that ACME issued for the very name, and one of another team.
  await refused(await team.serverCertificate('ops.localhost'), 'UNSUPPORTED_CERTIFICATE')
  await refused(await other.certify(alice), 'UNKNOWN_CA')
  // One of this authority that nobody named, whatever its request said.
  const mallory = await team.certify('mallory@team.internal')
  expect(await ask(server, team.root, mallory)).toMatchObject({
    status: 403,
    answer: { error: { code: 'not-trusted', hint: expect.stringContaining('--admin') } },
  })
  expect(server.log()).toContain('"event":"administrator refused"')
  expect(server.log()).toContain('comes from another CA')
  // Its root is not the team's, so that no certificate of one counts for the other.
  const { root, intermediate } = await ensureAdminScope(team.storage, team.now())
  expect(root.toString()).not.toBe(team.root)
  expect(intermediate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2'])
})

test('a revoked certificate is refused at once, also on a connection that is open', async () => {
  const team = await openTeam()
  const server = await serve(team, [alice])
  const [first, second] = [await team.certify(alice), await team.certify(alice)]
  const session = connect(`https://localhost:${server.port}`, {
    ...{ ca: team.root, cert: first.cert, key: first.key, family: 4 },
  })
  session.on('error', () => undefined)
  onTestFinished(() => session.destroy())
  /** Returns the status; 0: the connection ended without one. */
  const askOpen = () =>
    new Promise<number>((resolve) => {
      const stream = session.request({ ':method': 'POST', ':path': '/look' })
      stream.on('response', (headers) => resolve(Number(headers[':status'])))
      stream.on('error', () => resolve(0)).on('close', () => resolve(0))
      stream.resume()
      stream.end('{}')
    })
  expect(await askOpen()).toBe(200)
  expect(await revokeAdminCertificate(team, first.serialNumber.toUpperCase(), by)).toBe(true)
  expect(await revokeAdminCertificate(team, first.serialNumber, by)).toBe(false)
  expect(await askOpen()).toBe(0)
  expect(await ask(server, team.root, first)).toMatch(/_ALERT_CERTIFICATE_REVOKED$/)
  expect(await ask(server, team.root, second)).toMatchObject({ status: 200 })
  const listed = await listAdminCertificates(team)
  expect(listed.map(({ names, revocation }) => [names, revocation?.reason ?? null])).toEqual([
    [[alice], 'unspecified'],
    [[alice], null],
  ])
  await expect(revokeAdminCertificate(team, 'ab', by)).rejects.toMatchObject({ code: 'usage' })
})

test('a certificate ends after 30 days', async () => {
  const team = await openTeam()
  const day = 86_400_000
  const before = (days: number) => () => new Date(Date.now() - days * day)
  await ensureAdminScope(team.storage, before(60)())
  const server = await serve(team, [alice])
  const ended = await team.certify(alice, { ...team, now: before(31) })
  const lasting = await team.certify(alice, { ...team, now: before(29) })
  expect(await ask(server, team.root, ended)).toMatch(/_ALERT_CERTIFICATE_EXPIRED$/)
  expect(await ask(server, team.root, lasting)).toMatchObject({ status: 200 })
  expect(await listAdminCertificates(team)).toHaveLength(1)
})

test('requests are bounded, of TLS 1.3, and not of web pages', async () => {
  const team = await openTeam()
  const server = await serve(team, [alice])
  const identity = await team.certify(alice)
  const asked = (sent: Sent) => ask(server, team.root, identity, sent)
  const refusal = (message: string) => ({
    answer: { error: { message: expect.stringContaining(message) } },
  })
  expect(await asked({ maxVersion: 'TLSv1.2' })).toBe('EPROTO')
  expect(await asked({ method: 'GET', body: '' })).toMatchObject({
    status: 400,
    ...refusal('Use POST'),
  })
  expect(await asked({ body: '[]' })).toMatchObject(refusal('not a JSON object'))
  expect(await asked({ body: ' '.repeat(70_000) })).toMatchObject(refusal('64 KiB'))
  expect(await asked({ headers: { origin: 'https://www.example.com' } })).toMatchObject({
    status: 403,
    ...refusal('does not answer web pages'),
  })
  expect(await asked({ body: '{}' })).toMatchObject({ status: 200 })
  expect(server.errors).toEqual([])
})

test('OpenSSL gets in with the files, and is refused without', async () => {
  const team = await openTeam()
  const server = await serve(team, [alice])
  const { cert, key } = await team.certify(alice)
  const directory = await mkdtemp(join(tmpdir(), 'rootling-admin-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const path = (name: string) => join(directory, name)
  await writeFile(path('cert.pem'), cert)
  await writeFile(path('key.pem'), key)
  await writeFile(path('root.pem'), team.root)
  const lead = ['s_client', '-connect', `127.0.0.1:${server.port}`, '-servername', 'localhost']
  const trust = ['-CAfile', path('root.pem'), '-verify_return_error', '-quiet', '-ign_eof']
  const body = 'POST /look HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}'
  const connectWith = (more: readonly string[]) =>
    run(
      'sh',
      [
        '-c',
        'printf "$0" | openssl "$@"',
        body.replaceAll('\r\n', '\\r\\n'),
        ...lead,
        ...trust,
        ...more,
      ],
      {
        ...scrubbedEnvironment(directory),
        PATH: process.env['PATH'] ?? '',
      },
    )
  const files = [
    '-cert',
    path('cert.pem'),
    '-cert_chain',
    path('cert.pem'),
    '-key',
    path('key.pem'),
  ]
  const answered = await connectWith(files)
  expect(answered.stdout, answered.stderr).toContain(`administrator ${alice}`)
  const refused = await connectWith([])
  expect(refused.stdout).not.toContain('result')
  expect(refused.stderr).toContain('certificate required')
})

test('names that could be anybody, and none at all, are refused at the start', () => {
  for (const [names, sentence] of [
    [[], 'Nobody is named'],
    [['*.team.internal'], 'cannot be the name of an administrator'],
    [['10.0.0.1'], 'cannot be the name of an administrator'],
    [['a b'], 'cannot be the name of an administrator'],
  ] as const)
    expect(() => readAdministrators(names)).toThrow(sentence)
})
