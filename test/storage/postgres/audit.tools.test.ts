import { expect, onTestFinished, test } from 'vitest'
import { openDatabase, type Database } from '../../../src/storage/postgres/database.ts'
import { recordAudit, verifyAudit } from '../../../src/storage/postgres/audit.ts'
import { migrate } from '../../../src/storage/postgres/migrate.ts'
import { grantServing } from '../../../src/storage/postgres/roles.ts'
import { migrations } from '../../../src/storage/postgres/schema.ts'
import { sealWith } from '../../../src/storage/postgres/seal.ts'
import { standbyWarning } from '../../../src/storage/postgres/standby.ts'
import { postgresStorage } from '../../../src/storage/postgres/storage.ts'
import { makeScope } from '../../../src/authority/ceremony.ts'
import { openPostgresStore } from '../../../src/acme/store/postgres.ts'
import type { Account } from '../../../src/acme/resources.ts'
import { certificate } from '../../helpers/filled-record.ts'
import { usePostgres } from '../../helpers/postgres.ts'

const postgres = usePostgres()
const sealer = sealWith('correct horse')
const event = { actor: 'me', event: 'started', facts: { text: 'a\0\u2028"\\ü😀', at: 1.5 } }

/** Opens a database until the test ends, as a replica or a role. */
function open(url: string, replica: string, role = 'postgres'): Database {
  const database = openDatabase({ url: url.replace('postgres@', `${role}@`), replica })
  onTestFinished(() => database.close())
  return database
}

test('two replicas write up to eight chains each, which are verified, together', async () => {
  const url = await postgres.create()
  const [a, b] = [open(url, 'a'), open(url, 'b')]
  await Promise.all(Array.from({ length: 20 }, (_, i) => recordAudit(i % 2 ? a : b, event)))
  const { rows, replicas, faults } = await verifyAudit(a)
  expect([rows, faults]).toEqual([20, []])
  expect(
    replicas.map(({ replica }) => replica).filter((name) => !/^[ab](?:\/[1-7])?$/.test(name)),
  ).toEqual([])
  const rowsOf = (name: string): number =>
    replicas.filter(({ replica }) => replica[0] === name).reduce((sum, { n }) => sum + n, 0)
  expect([rowsOf('a'), rowsOf('b')]).toEqual([10, 10])
})

test('an event that is not committed yet keeps no other one waiting', async () => {
  const url = await postgres.create()
  const first = open(url, 'a')
  await first.transaction(async () => {
    await recordAudit(first, event)
    await recordAudit(open(url, 'a'), event)
    await recordAudit(first, event)
  })
  const { replicas, faults } = await verifyAudit(first)
  expect(faults).toEqual([])
  expect(replicas).toMatchObject([
    { replica: 'a', n: 2 },
    { replica: 'a/1', n: 1 },
  ])
})

test('rows that were changed, reordered or taken out are found, a cut end by its head', async () => {
  const url = await postgres.create()
  const database = open(url, 'a')
  for (let i = 0; i < 9; i++) await recordAudit(database, event)
  const { replicas } = await verifyAudit(database)
  const faultsAfter = async (sql: string) => {
    const copy = await postgres.server.createDatabase(await copied())
    await postgres.server.psql(copy, sql)
    const { faults } = await verifyAudit(open(copy, 'a'), replicas)
    return faults.map(({ n, what }) => `${n} ${what}`)
  }
  const copied = async (): Promise<string> => {
    await postgres.server.psql(
      url.replace(/[^/]*$/, 'postgres'),
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${url.split('/').at(-1)}'`,
    )
    return url
  }
  const table = 'rootling.audit'
  expect(await faultsAfter(`update ${table} set actor = 'you' where n = 4`)).toEqual(['4 changed'])
  expect(await faultsAfter(`update ${table} set at = at + '1us' where n = 1`)).toEqual([
    '1 changed',
  ])
  expect(await faultsAfter(`delete from ${table} where n in (1, 5)`)).toEqual([
    '1 missing',
    '5 missing',
  ])
  expect(
    await faultsAfter(
      `update ${table} set n = 100 where n = 4; update ${table} set n = 4 where n = 5; update ${table} set n = 5 where n = 100`,
    ),
  ).toEqual(['4 changed', '5 changed', '6 changed'])
  expect(await faultsAfter(`delete from ${table} where n > 7`)).toEqual(['9 missing'])
  expect(
    await faultsAfter(`update ${table} set actor = 'you', hash = '\\x00' where n = 9`),
  ).toEqual(['9 changed', '9 changed'])
})

test('the audit is read in pages', async () => {
  const url = await postgres.create()
  await postgres.server.psql(
    url,
    "select rootling.audit('r' || i % 3, 'me', 'x', '{}') from generate_series(1, 2000) as i",
  )
  const { rows, replicas, faults } = await verifyAudit(open(url, 'a'))
  expect([rows, replicas.length, faults]).toEqual([2_000, 3, []])
})

test('each change of the authority is in the audit, in its transaction', async () => {
  const url = await postgres.create()
  const storage = postgresStorage(open(url, 'a'), sealer)
  const plan = { name: 'local', permitted: [], constraints: null }
  const { intermediateKey, ...scope } = await makeScope(plan, new Date())
  const { serialNumber } = certificate(1)
  const revocation = { serialNumber, reason: 'certificateHold', revokedAt: '2026-01-01' } as const
  await storage.change(async (change) => {
    await change.createScope(scope, intermediateKey)
    await change.createScope(scope, intermediateKey)
    await change.createScope(scope, intermediateKey, '.next')
    await change.switchScope('local')
    await change.deleteScope('local', '.old')
    await change.deleteScope('local', '.old')
    await change.issued([certificate(1), certificate(2)])
    await change.revoked(revocation)
    await change.released(serialNumber, new Date())
  })
  const failing = storage.change(async (change) => {
    await change.issued([certificate(3)])
    throw new Error('no')
  })
  await expect(failing).rejects.toThrow('no')
  const rows = await postgres.server.psql(
    url,
    'select replica, event, actor from rootling.audit order by n',
  )
  expect(rows.trim().split('\n')).toEqual(
    [
      ...['createScope', 'createScope', 'switchScope', 'deleteScope'],
      ...['issued', 'issued', 'revoked', 'released'],
    ].map((name) => `a|${name}|rootling`),
  )
  expect((await verifyAudit(open(url, 'a'))).faults).toEqual([])
})

/** A role that may do nothing yet, with a name that must be quoted. */
async function createRole(url: string): Promise<string> {
  const role = `it's "${url.split('/').at(-1)}"; x`
  await postgres.server.psql(url, `create role "${role.replaceAll('"', '""')}" login`)
  return role
}

const asRole = (url: string, role: string): string =>
  url.replace('postgres@', `${encodeURIComponent(role)}@`)

test('a role that serves does what serving needs, and changes no audit and no schema', async () => {
  const url = await postgres.server.createDatabase()
  const role = await createRole(url)
  const owner = open(url, 'owner')
  const prepare = async (): Promise<void> => {
    await migrate(owner)
    await grantServing(owner, role)
  }
  await owner.transaction(prepare, { isMarked: false })
  await owner.transaction(prepare, { isMarked: false })
  const served = open(asRole(url, role), 'a')
  await migrate(served)
  const storage = postgresStorage(served, sealer)
  const plan = { name: 'local', permitted: [], constraints: null }
  const { intermediateKey, ...scope } = await makeScope(plan, new Date())
  const { serialNumber } = certificate(1)
  await storage.change(async (change) => {
    await change.createScope(scope, intermediateKey)
    await change.createScope(scope, intermediateKey, '.next')
    await change.switchScope('local')
    await change.deleteScope('local', '.old')
    await change.issued([certificate(1)])
    await change.revoked({ serialNumber, reason: 'certificateHold', revokedAt: '2026-01-01' })
    await change.released(serialNumber, new Date())
    await change.forgotten([serialNumber], new Date())
    await change.nextCrlNumber('local', new Date())
  })
  const store = await openPostgresStore(served, sealer)
  for (const contact of ['a', 'b']) {
    const unit = await store.open({ account: 'a' })
    unit.put('account', { id: 'a', thumbprint: 't', contact: [contact] } as unknown as Account)
    unit.lease('z', contact, Date.now() + 1_000)
    expect(await unit.commit(store.nonces.make())).toBe('done')
  }
  await store.claimValidations(Date.now(), Date.now() + 1_000, 1)
  await recordAudit(served, event)
  expect((await verifyAudit(served)).rows).toBe(8)
  await served.query('SELECT rootling.prepare_audit()')
  const [month] = await owner.query(
    "SELECT max(relname) AS name FROM pg_class WHERE relname ~ '^audit_2[0-9]{3}_[0-9]{2}$'",
  )
  const row = "VALUES ('a', 9, now(), 'x', 'x', '{}', '')"
  for (const sql of [
    `INSERT INTO rootling.audit ${row}`,
    `INSERT INTO rootling.${String(month?.['name'])} ${row}`,
    `INSERT INTO rootling.audit_default ${row}`,
    'DELETE FROM rootling.audit_default',
    `DROP TABLE rootling.${String(month?.['name'])}`,
    `ALTER TABLE rootling.audit DETACH PARTITION rootling.${String(month?.['name'])}`,
    "INSERT INTO rootling.audit_start VALUES ('a', 1, '')",
    "INSERT INTO rootling.certificate (serial) VALUES ('x')",
    'UPDATE rootling.certificate SET path = NULL',
    "UPDATE rootling.newest SET serial = 'x'",
    'ALTER FUNCTION rootling.audit(text, text, text, jsonb) SECURITY INVOKER',
    "UPDATE rootling.audit SET actor = 'x'",
    'DELETE FROM rootling.audit',
    'TRUNCATE rootling.audit',
    'DROP TABLE rootling.audit',
    'ALTER TABLE rootling.audit DISABLE TRIGGER ALL',
    'DELETE FROM rootling.certificate',
    'DELETE FROM rootling.migration',
    "INSERT INTO rootling.migration VALUES (9, 'x')",
    'CREATE TABLE rootling.x ()',
    "CREATE OR REPLACE FUNCTION rootling.touch(of text) RETURNS void LANGUAGE sql AS ''",
    'DROP SCHEMA rootling CASCADE',
  ])
    await expect(served.query(sql), sql).rejects.toMatchObject({ code: '42501' })
  const newer = [...migrations, { number: migrations.length + 1, sql: 'SELECT 1' }]
  await expect(migrate(served, newer)).rejects.toMatchObject({
    code: 'usage',
  })
})

test('a role without rights is told who migrates, and the owner does not serve', async () => {
  const url = await postgres.server.createDatabase()
  const role = await createRole(url)
  const powerless = open(asRole(url, role), 'a')
  const refused = {
    code: 'usage',
    hint: 'rootling server migrate --database URL-OF-THE-OWNER --grant ROLE',
  }
  await expect(migrate(powerless)).rejects.toMatchObject(refused)
  const owner = open(url, 'owner')
  await migrate(owner)
  await expect(migrate(powerless)).rejects.toMatchObject(refused)
  await expect(grantServing(owner, 'postgres')).rejects.toMatchObject({ code: 'usage' })
  await expect(grantServing(owner, 'public')).rejects.toMatchObject({ code: 'usage' })
})

test.each([
  ['by creating roles', 'alter role "%s" createrole', 'may become its owner'],
  ['in pg_write_all_data', 'grant pg_write_all_data to "%s"', 'may become its owner'],
  [
    'by another role',
    'create role "%s group"; grant all on all tables in schema rootling to "%s group"; grant "%s group" to "%s"',
    'would keep',
  ],
  [
    'by a sequence of another role',
    'create role "%s group"; grant all on all sequences in schema rootling to "%s group"; grant "%s group" to "%s"',
    'would keep UPDATE on certificate_n_seq',
  ],
])('a role that could do more %s does not serve', async (_, sql, message) => {
  const url = await postgres.server.createDatabase()
  const role = `role_${url.split('/').at(-1)}`
  const owner = open(url, 'owner')
  await migrate(owner)
  await postgres.server.psql(
    url,
    `create role "${role}" login; ${sql.replaceAll('%s', () => role)}`,
  )
  await expect(grantServing(owner, role)).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringContaining(message),
  })
})

test('what everybody was granted is taken back', async () => {
  const url = await postgres.server.createDatabase()
  const role = await createRole(url)
  const owner = open(url, 'owner')
  await migrate(owner)
  await postgres.server.psql(
    url,
    'grant update on rootling.audit to public; grant all on all sequences in schema rootling to public',
  )
  await grantServing(owner, role)
  const served = open(asRole(url, role), 'a')
  for (const sql of [
    "UPDATE rootling.audit SET actor = 'forged'",
    "SELECT setval('rootling.certificate_n_seq', 9)",
  ])
    await expect(served.query(sql), sql).rejects.toMatchObject({ code: '42501' })
})

test('processes of the step before go on after the next one, and are in the audit', async () => {
  const url = await postgres.server.createDatabase()
  const before = open(url, 'old')
  await migrate(before, migrations.slice(0, 1))
  const commit = (i: number) =>
    before.query("SELECT rootling.commit_unit(1, $1, 'b', '[]', '[]', '[]', $2) AS outcome", [
      Buffer.from([i]),
      JSON.stringify({ certificate: certificate(i), scopesVersion: '0' }),
    ])
  expect(await commit(1)).toEqual([{ outcome: 'done' }])
  let running = true
  const work = (async () => {
    for (let i = 2; running || i < 20; i++) expect(await commit(i)).toEqual([{ outcome: 'done' }])
  })()
  await migrate(open(url, 'new'))
  running = false
  await work
  const after = await commit(200)
  expect(after).toEqual([{ outcome: 'done' }])
  const { rows, faults, replicas } = await verifyAudit(before)
  expect(faults).toEqual([])
  expect(rows).toBeGreaterThan(0)
  expect(replicas.map(({ replica }) => replica)).toEqual(['unnamed'])
})

test('a database without standbys gives no warning', async () => {
  expect(await standbyWarning(open(await postgres.create(), 'a'))).toBeNull()
})
