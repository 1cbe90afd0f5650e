import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createAcmeAuthority } from '../../src/acme/acme-authority.ts'
import { openPostgresStore } from '../../src/acme/store/postgres.ts'
import { makeScope } from '../../src/authority/ceremony.ts'
import { createRevocationSource } from '../../src/sites/revocation/source.ts'
import { verifyAudit } from '../../src/storage/postgres/audit.ts'
import type { Database } from '../../src/storage/postgres/database.ts'
import { migrate } from '../../src/storage/postgres/migrate.ts'
import { sealWith } from '../../src/storage/postgres/seal.ts'
import { standbyWarning } from '../../src/storage/postgres/standby.ts'
import { postgresStorage } from '../../src/storage/postgres/storage.ts'
import { bare } from '../../src/storage/records.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { openPostgresServer } from '../helpers/postgres-server.ts'
import { startPgBouncer, usePostgres } from '../helpers/postgres.ts'
import { waitFor } from '../helpers/subprocess.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { balance } from '../replica/team.ts'
import { startAcme, type Acme } from './harness.ts'
import { csrFor, RawClient, type RawAnswer } from './raw.ts'
import { authorize, obtain, startResponder, type Responder } from './responder.ts'

const now = () => new Date()
const sealer = sealWith('correct horse')
const postgres = usePostgres()
let responder: Responder
beforeAll(async () => {
  responder = await startResponder()
})
afterAll(() => responder.close())

/** Replicas of an ACME server over one database, behind one address. */
async function startReplicas(count: number, given?: string) {
  const url = given ?? (await postgres.create())
  const first = postgres.open(url)
  const storage = postgresStorage(first, sealer)
  const { intermediateKey, ...scope } = await makeScope(
    { name: 'local', permitted: [], constraints: null },
    now(),
  )
  await storage.change((change) => change.createScope(scope, intermediateKey))
  const state = await temporaryState()
  const ports: number[] = []
  const port = await balance(ports)
  const replicas: Acme[] = []
  for (let i = 0; i < count; i++) {
    const database = postgres.open(url)
    const replica = await startAcme({
      state,
      baseUrl: `https://localhost:${port}/acme`,
      store: await openPostgresStore(database, sealer),
      authority: createAcmeAuthority({ storage: postgresStorage(database, sealer), now }),
      // The responder is in this process, which a busy machine may keep waiting.
      options: {
        http01Port: responder.port,
        answerMilliseconds: 60_000,
        validationMilliseconds: 120_000,
      },
    })
    onTestFinished(() => replica.close())
    replicas.push(replica)
    ports.push(replica.port)
  }
  const client = async (): Promise<RawClient> => {
    const made = new RawClient(`https://localhost:${port}/acme/directory`, replicas[0]?.root ?? '')
    // Each request is a connection of its own, so that the replicas take turns.
    made.agent.options.keepAlive = false
    onTestFinished(() => made.close())
    return made.start()
  }
  return { url, storage, client, ports }
}

/** The same database at another port. */
const through = (url: string, port: number): string => url.replace(/:\d+\//, `:${port}/`)

/** Issues 20 certificates through 4 clients; each finalize is sent four times, and none fails. */
async function issueAll(client: () => Promise<RawClient>, serials: string[]): Promise<void> {
  const work = Array.from({ length: 4 }, async (_, i) => {
    const own = await client()
    for (let k = 0; k < 5; k++) {
      const name = `n${i}-${k}.localhost`
      const order = await own.order([name])
      expect(order.status).toBe(201)
      await authorize(own, order, responder)
      const csr = csrFor([name])
      const answers = await Promise.all(
        Array.from({ length: 4 }, () => own.post(order.body.finalize, { csr })),
      )
      expect(answers.map(({ status }) => status).filter((status) => status >= 500)).toEqual([])
      const location = order.headers['location'] ?? ''
      const { body } = await own.post(location, null)
      expect(body.status).toBe('valid')
      const { text } = await own.post(body.certificate, null)
      serials.push(new X509Certificate(text).serialNumber.toLowerCase())
    }
  })
  await Promise.all(work)
}

/** Expects the record to be what the clients got: none is lost, and none was issued twice. */
async function expectAll(storage: Storage, serials: readonly string[]): Promise<void> {
  const recorded: string[] = []
  for await (const page of storage.certificates.all())
    for (const { certificate } of page) recorded.push(certificate.serialNumber)
  expect(recorded.toSorted()).toEqual(serials.toSorted())
}

/** Expects the audit to name the same certificates, and to be whole. */
async function expectAudit(url: string, serials: readonly string[]): Promise<void> {
  const database = postgres.open(url)
  const rows = await database.query(
    "SELECT facts->>'serial' AS serial FROM rootling.audit WHERE event = 'issued' AND actor LIKE 'account %'",
  )
  expect(rows.map(({ serial }) => String(serial)).toSorted()).toEqual(serials.map(bare).toSorted())
  expect((await verifyAudit(database)).faults).toEqual([])
}

/** Ends all sessions of a database, and so breaks what they were doing. */
const endSessions = (url: string): Promise<string> =>
  postgres.server.psql(
    url,
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  )

test('three replicas share accounts, nonces, orders and the record, while sessions are ended and every finalize is sent four times', async () => {
  const { url, storage, client } = await startReplicas(3)
  let running = true
  const ending = (async () => {
    while (running) {
      await endSessions(url)
      await new Promise((resolve) => setTimeout(resolve, 150))
    }
  })()
  const serials: string[] = []
  const work = issueAll(client, serials)
  try {
    await work
  } finally {
    running = false
    await ending
  }
  expect(serials).toHaveLength(20)
  await expectAll(storage, serials)
  const orders = "select count(*) from rootling.acme where kind = 'order' and not open"
  expect(await postgres.server.psql(url, orders)).toBe('20\n')
  await expectAudit(url, serials)
})

test('replicas behind PgBouncer in transaction mode do the same while sessions are ended', async () => {
  const url = await postgres.create()
  const port = await startPgBouncer(postgres.server)
  const { storage, client } = await startReplicas(2, through(url, port))
  const serials: string[] = []
  const work = issueAll(client, serials)
  for (let i = 0; i < 5; i++) {
    await endSessions(url)
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
  await work
  expect(serials).toHaveLength(20)
  await expectAll(storage, serials)
  await expectAudit(url, serials)
})

test('requests wait for a database that is away for seconds', async () => {
  const { url, storage, client } = await startReplicas(2)
  const serials: string[] = []
  const work = issueAll(client, serials)
  await waitFor('some orders', () => (serials.length > 4 ? true : null))
  await postgres.server.stop('immediate')
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  await postgres.server.start()
  await work
  expect(serials).toHaveLength(20)
  await expectAll(storage, serials)
  await expectAudit(url, serials)
})

test('a synchronous standby that is promoted while orders run has all of them, once', async () => {
  const primary = await openPostgresServer()
  onTestFinished(() => primary.close())
  const standby = await primary.addStandby()
  onTestFinished(() => standby.close())
  const ports = [primary.port]
  const address = await balance(ports)
  const url = through(await primary.createDatabase(), address)
  await migrate(postgres.open(url))
  const database = postgres.open(url)
  const setStandbys = async (names: string): Promise<void> => {
    await primary.psql(url, `alter system set synchronous_standby_names = '${names}'`)
    await primary.psql(url, 'select pg_reload_conf()')
  }
  await setStandbys('')
  const warning = await waitFor('a warning', () => standbyWarning(database))
  expect(warning).toMatch(/^No standby of postgres:.* is synchronous, .* 'ANY 1 \(\*\)' there\.$/)
  await setStandbys('ANY 1 (*)')
  await waitFor('no warning', async () => ((await standbyWarning(database)) === null ? true : null))
  const { storage, client } = await startReplicas(2, url)
  const serials: string[] = []
  const work = issueAll(client, serials)
  await waitFor('some orders', () => (serials.length > 4 ? true : null))
  await primary.stop('immediate')
  ports[0] = standby.port
  await new Promise((resolve) => setTimeout(resolve, 500))
  await primary.psql(through(url, standby.port), 'select pg_promote()')
  await work
  expect(serials).toHaveLength(20)
  await expectAll(storage, serials)
  await expectAudit(url, serials)
})

test('an order takes five statements, three of which wait for the disk', async () => {
  const url = await postgres.create()
  const opened = postgres.open(url)
  const statements: string[] = []
  const database: Database = {
    ...opened,
    query(text, values) {
      statements.push(text)
      return opened.query(text, values)
    },
    queryOften(text, values) {
      const waits = text.includes('commit_unit') && values[4] !== '[]'
      statements.push(waits ? `synchronous ${text}` : text)
      return opened.queryOften(text, values)
    },
  }
  const storage = postgresStorage(database, sealer)
  const plan = { name: 'local', permitted: [], constraints: null }
  const { intermediateKey, ...scope } = await makeScope(plan, now())
  await storage.change((change) => change.createScope(scope, intermediateKey))
  const replica = await startAcme({
    state: await temporaryState(),
    store: await openPostgresStore(database, sealer),
    authority: createAcmeAuthority({ storage, now }),
    options: { http01Port: responder.port },
  })
  onTestFinished(() => replica.close())
  const client = await new RawClient(replica.directory, replica.root).start()
  onTestFinished(() => client.close())
  const one = async (): Promise<readonly string[]> => {
    statements.length = 0
    await obtain(client, ['a.localhost'], responder)
    return [...statements]
  }
  // The first one also reads the account, its orders and the authority.
  await one()
  const taken = await one()
  expect(taken.length, taken.join('\n')).toBeLessThanOrEqual(5)
  expect(taken.filter((text) => text.startsWith('synchronous'))).toHaveLength(3)
})

test('a replica that remembers an order sees what another one has changed since', async () => {
  const { storage, client, ports } = await startReplicas(2)
  const [first = 0, second = 0] = ports
  /** Orders by the first replica, does something by the second one, and finalizes by the first. */
  const finalizeAfter = async (change: (own: RawClient, order: RawAnswer) => Promise<unknown>) => {
    ports.splice(0, 2, first)
    const own = await client()
    const order = await own.order(['a.localhost'])
    await authorize(own, order, responder)
    ports.splice(0, 1, second)
    await change(own, order)
    ports.splice(0, 1, first)
    const { status, body } = await own.post(order.body.finalize, { csr })
    return [status, body.type?.replace(/.*:/, '') ?? body.certificate]
  }
  const csr = csrFor(['a.localhost'])
  expect(await finalizeAfter(async (own) => own.post(own.kid, { status: 'deactivated' }))).toEqual([
    403,
    'unauthorized',
  ])
  expect(
    await finalizeAfter(async (own, order) =>
      own.post(order.body.authorizations[0], { status: 'deactivated' }),
    ),
  ).toEqual([403, 'orderNotReady'])
  let certificate = ''
  expect(
    await finalizeAfter(async (own, order) => {
      certificate = (await own.post(order.body.finalize, { csr })).body.certificate
    }),
  ).toEqual([200, certificate])
  const serials: string[] = []
  for await (const page of storage.certificates.all())
    serials.push(...page.map((one) => one.certificate.serialNumber))
  expect(serials).toHaveLength(1)
})

test('a client reads from a replica that remembers an order what another one has changed', async () => {
  const { client, ports } = await startReplicas(2)
  const [first = 0, second = 0] = ports
  ports.splice(0, 2, first)
  const own = await client()
  const order = await own.order(['a.localhost'])
  const [authorization] = order.body.authorizations
  const url = order.headers['location'] ?? ''
  const statuses = async (): Promise<unknown[]> => {
    const answers = [await own.post(authorization, null), await own.post(url, null)]
    return answers.map(({ body }) => body.status)
  }
  expect(await statuses()).toEqual(['pending', 'pending'])
  ports.splice(0, 1, second)
  await own.post(authorization, { status: 'deactivated' })
  ports.splice(0, 1, first)
  expect(await statuses()).toEqual(['deactivated', 'invalid'])
  // What was read once uses up its nonce, also where nothing else was written.
  const nonce = await own.nonce()
  await own.post(url, null, { header: { nonce } })
  expect(await own.post(url, null, { header: { nonce } })).toMatchObject({
    status: 400,
    body: { type: 'urn:ietf:params:acme:error:badNonce' },
  })
})

test('a revocation through one replica is in the CRL that another one makes', async () => {
  const { storage, client } = await startReplicas(2)
  const own = await client()
  const order = await own.order(['revoked.localhost'])
  await authorize(own, order, responder)
  const { body } = await own.post(order.body.finalize, { csr: csrFor(['revoked.localhost']) })
  const { text } = await own.post(body.certificate, null)
  const leaf = new X509Certificate(text)
  const source = createRevocationSource(storage, now)
  const before = await source.crl('local')
  const answer = await own.post(own.to('revokeCert'), {
    certificate: leaf.raw.toString('base64url'),
  })
  expect(answer.status).toBe(200)
  const after = await source.crl('local')
  const serial = Buffer.from(leaf.serialNumber, 'hex')
  expect(before?.includes(serial)).toBe(false)
  expect(after?.includes(serial)).toBe(true)
})
