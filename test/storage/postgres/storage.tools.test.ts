import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { makeScope } from '../../../src/authority/ceremony.ts'
import { recordAudit } from '../../../src/storage/postgres/audit.ts'
import { openDatabase, type Database } from '../../../src/storage/postgres/database.ts'
import { migrate } from '../../../src/storage/postgres/migrate.ts'
import { migrations } from '../../../src/storage/postgres/schema.ts'
import { sealWith } from '../../../src/storage/postgres/seal.ts'
import { postgresStorage } from '../../../src/storage/postgres/storage.ts'
import { certificate } from '../../helpers/filled-record.ts'
import { startPgBouncer, usePostgres } from '../../helpers/postgres.ts'
import { describeStorage } from '../contract.ts'

const postgres = usePostgres()
const sealer = sealWith('correct horse')
const now = '2026-06-01T00:00:00.000Z'

describeStorage('PostgreSQL', async () => {
  const url = await postgres.create()
  const openStorage = () => postgresStorage(postgres.open(url), sealer)
  return { storage: openStorage(), again: openStorage, afterThrow: 'nothing' }
})

test.each<[string, (url: string) => string, string]>([
  ['a role', (url) => url.replace('postgres@', 'nobody@'), 'role "nobody" does not exist'],
  ['a database', (url) => `${url}_none`, '_none" does not exist'],
  ['TLS', (url) => `${url}?sslmode=verify-full`, 'does not support SSL'],
  ['a file', (url) => `${url}?sslmode=verify-full&sslrootcert=/none.pem`, "'/none.pem'"],
])('%s that is not there is said at once, and is no defect', async (_, change, reason) => {
  const url = change(await postgres.create())
  const database = openDatabase({ url, patience: 600_000 })
  await expect(database.query('SELECT 1')).rejects.toMatchObject({
    code: 'connect-failed',
    message: expect.stringContaining(reason),
  })
  await database.close()
})

test('a server that is not there is named with the reason, and another database is refused', async () => {
  const database = openDatabase({ url: 'postgres://x@127.0.0.1:1/x', patience: 3_000 })
  await expect(database.query('SELECT 1')).rejects.toMatchObject({
    code: 'database-away',
    message: expect.stringContaining('ECONNREFUSED'),
  })
  await database.close()
  for (const url of ['mysql://x@127.0.0.1/x', 'x', ''])
    expect(() => openDatabase({ url })).toThrow('The URL of the database cannot be read.')
})

test('a database is reached by its socket too, as libpq writes it', async () => {
  const { pathname, port, username } = new URL(await postgres.create())
  const options = `host=${postgres.server.socket}&port=${port}`
  for (const url of [
    `postgres://${username}@${pathname}?${options}`,
    `postgres://${pathname}?${options}&user=${username}`,
  ]) {
    const database = openDatabase({ url })
    expect(await database.query('SELECT inet_server_addr() AS address')).toEqual([
      { address: null },
    ])
    expect(database.place).toBe(url.replace(/\?.*$/, ''))
    await database.close()
  }
})

test('a dump of the database has no key, and another passphrase opens none', async () => {
  const url = await postgres.create()
  const storage = postgresStorage(postgres.open(url), sealer)
  const plan = { name: 'local', permitted: [], constraints: null }
  const { intermediateKey, ...scope } = await makeScope(plan, new Date())
  await storage.change((change) => change.createScope(scope, intermediateKey))
  const dump = await postgres.server.psql(url, 'select * from rootling.scope')
  expect(dump).toContain('BEGIN CERTIFICATE')
  expect(dump).not.toContain('PRIVATE KEY')
  const body = Buffer.from(intermediateKey.split('\n').slice(1, -2).join(''), 'base64')
  expect(dump).not.toContain(body.toString('hex').slice(60, 120))
  const { keyDigest } = await storage.scopes.read('local')
  await expect(
    postgresStorage(postgres.open(url), sealWith('wrong')).keys.read('local', keyDigest),
  ).rejects.toMatchObject({ code: 'bad-key' })
})

test('five processes that migrate at once take each step once', async () => {
  const url = await postgres.server.createDatabase()
  await Promise.all(Array.from({ length: 5 }, () => migrate(postgres.open(url))))
  expect(await postgres.server.psql(url, 'select count(*) from rootling.migration')).toBe(
    `${migrations.length}\n`,
  )
})

test('a schema of a newer Rootling, or one that was changed, is refused', async () => {
  const url = await postgres.create()
  const one = { number: 1, sql: 'select 1' }
  const steps = [one, ...migrations.slice(1)]
  await expect(migrate(postgres.open(url), steps)).rejects.toMatchObject({ code: 'corrupt-state' })
  const newer = migrations.length + 1
  await postgres.server.psql(url, `insert into rootling.migration values (${newer}, 'x')`)
  await expect(migrate(postgres.open(url))).rejects.toMatchObject({
    code: 'newer-state',
    message: expect.stringMatching(
      new RegExp(`^The database postgres://.* has the schema ${newer} of a newer`),
    ),
  })
})

test('a step that fails leaves nothing of itself', async () => {
  const url = await postgres.server.createDatabase()
  const steps = [{ number: 1, sql: 'CREATE TABLE rootling.a (); SELECT 1/0' }]
  await expect(migrate(postgres.open(url), steps)).rejects.toThrow('division by zero')
  await migrate(postgres.open(url))
})

test.each(['PostgreSQL', 'PgBouncer in transaction mode'])(
  'what runs often runs through %s, and again when its columns have changed',
  async (through) => {
    const url = new URL(await postgres.create())
    if (through !== 'PostgreSQL') url.port = String(await startPgBouncer(postgres.server))
    const ask = async (database: Database, text: string): Promise<unknown[]> =>
      Promise.all(
        Array.from(
          { length: 40 },
          async (_, i) => (await database.queryOften(text, [i]))[0]?.['n'],
        ),
      )
    const numbers = Array.from({ length: 40 }, (_, i) => i)
    // Two processes prepare the same names on connections that PgBouncer shares among them.
    const databases = [postgres.open(url.href), postgres.open(url.href)]
    for (let round = 0; round < 3; round++)
      for (const database of databases)
        expect(await ask(database, 'SELECT $1::int AS n')).toEqual(numbers)
    const [database] = databases as [Database]
    await database.query('CREATE TABLE t AS SELECT generate_series(0, 40) AS n')
    const all = 'SELECT * FROM t WHERE n = $1'
    expect(await ask(database, all)).toEqual(numbers)
    await database.query('ALTER TABLE t ADD COLUMN more text')
    expect(await ask(database, all)).toEqual(numbers)
    await expect(database.queryOften('SELECT 1 / $1::int', [0])).rejects.toMatchObject({
      code: '22012',
    })
  },
)

test('a database that is away is waited for, and then named without its password', async () => {
  const url = await postgres.create()
  const impatient = openDatabase({
    url: url.replace('postgres@', 'postgres:secret@'),
    patience: 300,
  })
  onTestFinished(() => impatient.close())
  const storage = postgresStorage(postgres.open(url), sealer)
  expect(await storage.scopes.names()).toEqual([])
  await postgres.server.stop('immediate')
  const error = await postgresStorage(impatient, sealer)
    .scopes.names()
    .catch((one: unknown) => one)
  expect(error).toMatchObject({ code: 'database-away' })
  expect((error as Error).message).not.toContain('secret')
  const asked = Promise.all([storage.scopes.names(), storage.change(async () => 'done')])
  await Promise.all([postgres.server.start(), asked])
  expect(await asked).toEqual([[], 'done'])
})

test('a transaction of which a statement failed is not told as done', async () => {
  const database = postgres.open(await postgres.create())
  const failing = database.transaction(async () => {
    await database.query("SELECT rootling.touch('x')")
    await database.query('SELECT 1/0').catch(() => undefined)
    return 'done'
  })
  await expect(failing).rejects.toThrow('had failed')
  expect(await database.query("SELECT FROM rootling.revision WHERE name = 'x'")).toEqual([])
})

test('a database or role that is not there is named, and is no defect of ours', async () => {
  const url = await postgres.server.createDatabase()
  await expect(postgres.open(`${url}x`).query('SELECT 1')).rejects.toMatchObject({
    code: 'connect-failed',
    message: `${url}x cannot be opened: database "${url.split('/').at(-1)}x" does not exist.`,
    hint: expect.stringContaining('createdb'),
  })
  const stranger = url.replace('postgres@', 'stranger@')
  for (const work of [
    () => postgres.open(stranger).query('SELECT 1'),
    () => migrate(postgres.open(stranger)),
  ])
    await expect(work()).rejects.toMatchObject({
      code: 'connect-failed',
      message: `${stranger} cannot be opened: role "stranger" does not exist.`,
      hint: expect.stringContaining('pg_hba.conf'),
    })
})

test.each([
  'postgres://me:s3cret@host:99999/db',
  // The host would be `me`, and its port the beginning of the password.
  'postgres://me:12/s3cret@host/db',
  'postgres://me:12?s3cret@host/db',
  'postgres://me:12#s3cret@host/db',
])('a URL that cannot be read is not shown, since it may have a password: %s', (url) => {
  expect.assertions(2)
  try {
    openDatabase({ url })
  } catch (error) {
    expect(error).toMatchObject({ code: 'usage' })
    expect(inspect(error)).not.toMatch(/s3cret|12/)
  }
})

test.each([
  'postgres://me@h1:5433,h2:5432/db?target_session_attrs=read-write',
  'postgres://me:pass,word@h1,h2/db',
  'postgres://me@/db?host=h1,h2',
  'postgres://me@h/db?application_name=x&host=h1%2Ch2',
])('a URL with several hosts is refused with what to name: %s', (url) => {
  expect(() => openDatabase({ url })).toThrow('The URL of the database names several hosts.')
})

test('a comma in a password is no second host', async () => {
  const database = openDatabase({ url: 'postgres://me:pass,word@h1/db?application_name=a,b' })
  expect(database.place).toBe('postgres://me@h1/db')
  await database.close()
})

test('text with NUL and half characters is kept as far as the database can', async () => {
  const storage = postgresStorage(postgres.open(await postgres.create()), sealer)
  const facts = certificate(1, { onRenew: 'a\0b\uD800c😀' })
  await storage.change((change) => change.issued([facts]))
  const found = await storage.certificates.find(facts.serialNumber)
  expect(found?.certificate.onRenew).toBe('a\uFFFDb\uFFFDc😀')
})

test('a certificate that is recorded after its revocation changes the revocations of its scope', async () => {
  const storage = postgresStorage(postgres.open(await postgres.create()), sealer)
  const { certificates } = storage
  const facts = certificate(1)
  const { serialNumber } = facts
  const revocation = { serialNumber, reason: 'keyCompromise', revokedAt: now } as const
  await storage.change((change) => change.revoked(revocation))
  const before = await certificates.revocationsVersion('local')
  await storage.change((change) => change.issued([facts]))
  expect(await certificates.revocationsVersion('local')).not.toBe(before)
  expect(await certificates.revoked('local', new Date(now))).toHaveLength(1)
})

/** Where connections pass through; at the first COMMIT, before or behind it, the connection is lost. */
async function losing(url: string, when: 'before' | 'after'): Promise<string> {
  let isLost = false
  const front = createServer((socket) => {
    const behind = connect(Number(new URL(url).port), '127.0.0.1')
    const end = () => [socket, behind].forEach((one) => one.destroy())
    socket.on('data', (chunk) => {
      if (isLost || !chunk.includes('COMMIT')) return void behind.write(chunk)
      isLost = true
      if (when === 'before') return end()
      // The answer does not pass.
      behind.removeAllListeners('data').on('data', end).write(chunk)
    })
    behind.on('data', (chunk) => socket.write(chunk))
    for (const one of [socket, behind]) one.on('error', end).on('close', end)
  })
  front.listen(0, '127.0.0.1')
  await once(front, 'listening')
  onTestFinished(() => void front.close())
  return url.replace(/:\d+\//, `:${(front.address() as AddressInfo).port}/`)
}

test('a transaction whose end is lost is told as done where it happened, and else as not', async () => {
  const url = await postgres.create()
  const rows = () => postgres.server.psql(url, 'select count(*) from rootling.audit')
  const facts = { actor: 'me', event: 'started', facts: {} }
  await recordAudit(postgres.open(await losing(url, 'after')), facts)
  expect(await rows()).toBe('1\n')
  await expect(
    recordAudit(postgres.open(await losing(url, 'before')), facts),
  ).rejects.toMatchObject({ code: 'database-away' })
  expect(await rows()).toBe('1\n')
})
