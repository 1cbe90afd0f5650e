import { expect, onTestFinished, test } from 'vitest'
import { dropAudit } from '../../../src/storage/postgres/audit-retention.ts'
import { recordAudit, verifyAudit } from '../../../src/storage/postgres/audit.ts'
import { openDatabase, type Database } from '../../../src/storage/postgres/database.ts'
import { migrate } from '../../../src/storage/postgres/migrate.ts'
import { grantServing } from '../../../src/storage/postgres/roles.ts'
import { migrations } from '../../../src/storage/postgres/schema.ts'
import { usePostgres } from '../../helpers/postgres.ts'

const postgres = usePostgres()

function open(url: string, replica: string): Database {
  const database = openDatabase({ url, replica })
  onTestFinished(() => database.close())
  return database
}

/** `audit` as it is, but for its clock, so that a test can write in other months. */
const backdated = (at: string): string => `
  do $test$ begin execute replace(replace(
    pg_get_functiondef('rootling.audit(text,text,text,jsonb)'::regprocedure),
    'clock_timestamp()', $$ timestamptz '${at}' $$), 'rootling.audit(', 'rootling.audit_at(');
  end $test$;`

/** Writes a row of the audit as of some time, with the partition of its month. */
async function write(url: string, replica: string, at: string): Promise<void> {
  const month = `date_trunc('month', timestamptz '${at}' at time zone 'UTC')`
  await postgres.server.psql(
    url,
    `set timezone = 'UTC'; ${backdated(at)}
     do $$ begin
       if to_char(${month}, '"rootling.audit_"YYYY_MM')::text = any(
         select 'rootling.' || relname from pg_class) then return; end if;
       execute format('create table %s partition of rootling.audit for values from (%L) to (%L)',
         to_char(${month}, '"rootling.audit_"YYYY_MM'), ${month}, ${month} + '1 month'::interval);
     end $$;
     select rootling.audit_at('${replica}', 'me', 'x', '{}')`,
  )
}

/** A database that nobody has used, whose first partition does not have the past too. */
async function create(): Promise<string> {
  const url = await postgres.create()
  const month = new Date().toISOString().slice(0, 7)
  const name = `rootling.audit_${month.replace('-', '_')}`
  await postgres.server.psql(
    url,
    `set timezone = 'UTC'; drop table ${name};
     create table ${name} partition of rootling.audit for values from ('${month}-01')
     to ((date '${month}-01' + '1 month'::interval)::timestamp)`,
  )
  return url
}

const partitions = async (url: string): Promise<string[]> => {
  const sql = `select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where inhparent = 'rootling.audit'::regclass order by 1`
  return (await postgres.server.psql(url, sql)).trim().split('\n')
}

test('old months are dropped, and the rest is verified from where each chain now begins', async () => {
  const url = await create()
  const database = open(url, 'a')
  for (const at of ['2025-11-03', '2025-12-31T23:59:59Z', '2026-01-01T00:00:00Z', '2026-02-05'])
    await write(url, 'a', at)
  await write(url, 'a', '2026-02-06')
  // One that has been silent since.
  await write(url, 'b', '2025-12-01')
  await recordAudit(database, { actor: 'me', event: 'y', facts: {} })
  const before = await verifyAudit(database)
  expect(before).toMatchObject({ rows: 7, since: null, faults: [] })

  expect(await dropAudit(database, '2026-01')).toEqual({ months: ['2025-11', '2025-12'], rows: 3 })
  const names = await partitions(url)
  expect(names).toContain('audit_2026_01')
  expect(names).not.toContain('audit_2025_12')
  const after = await verifyAudit(database, before.replicas)
  // Four rows of before, and one for each replica that tells of this.
  expect(after).toMatchObject({ rows: 6, since: '2026-01-01T00:00:00.000000Z', faults: [] })
  expect(after.replicas.map(({ replica, n }) => [replica, n])).toEqual([
    ['a', 7],
    ['b', 2],
  ])
  const noted =
    "select actor, facts->>'before', facts->>'n' from rootling.audit where event = 'auditDropped'"
  expect(await postgres.server.psql(url, noted)).toBe('owner|2026-01|2\nowner|2026-01|1\n')

  // Again, with what was dropped meanwhile.
  expect(await dropAudit(database, '2026-01')).toEqual({ months: [], rows: 0 })
  expect(await dropAudit(database, '2026-02')).toEqual({ months: ['2026-01'], rows: 1 })
  await recordAudit(database, { actor: 'me', event: 'z', facts: {} })
  await recordAudit(open(url, 'b'), { actor: 'me', event: 'z', facts: {} })
  expect(await verifyAudit(database, after.replicas)).toMatchObject({ rows: 8, faults: [] })
})

test('a month that was dropped without the mark is missing, and so is a mark that is wrong', async () => {
  const url = await create()
  const database = open(url, 'a')
  for (const at of ['2025-10-01', '2025-11-01', '2025-12-01', '2026-01-01'])
    await write(url, 'a', at)
  await dropAudit(database, '2025-11')
  await postgres.server.psql(url, 'drop table rootling.audit_2025_11')
  const missing = [{ replica: 'a', n: 2, what: 'missing' }]
  expect((await verifyAudit(database)).faults).toEqual(missing)
  await postgres.server.psql(url, "update rootling.audit_start set n = 2, hash = '\\x00'")
  const changed = [{ replica: 'a', n: 3, what: 'changed' }]
  expect((await verifyAudit(database)).faults).toEqual(changed)
  await postgres.server.psql(url, 'delete from rootling.audit_start')
  expect((await verifyAudit(database)).faults).toEqual([{ replica: 'a', n: 1, what: 'missing' }])
  await postgres.server.psql(url, "insert into rootling.audit_start values ('gone', 4, '\\x00')")
  expect((await verifyAudit(database)).faults).toContainEqual({
    replica: 'gone',
    n: 5,
    what: 'missing',
  })
})

test('the months to drop are told by the owner, and are past', async () => {
  const url = await create()
  const database = open(url, 'a')
  await write(url, 'a', '2025-11-03')
  for (const bad of ['2026', '2026-13', '2026-01-01', "2026-01'; x"])
    await expect(dropAudit(database, bad)).rejects.toMatchObject({ code: 'usage' })
  const later = new Date(Date.now() + 40 * 86_400_000).toISOString().slice(0, 7)
  await expect(dropAudit(database, later)).rejects.toMatchObject({
    message: `The month ${later} has not begun.`,
  })
  const role = `serves_${url.split('/').at(-1)}`
  await postgres.server.psql(url, `create role ${role} login`)
  await grantServing(database, role)
  const served = open(url.replace('postgres@', `${role}@`), 'a')
  await expect(dropAudit(served, '2026-01')).rejects.toMatchObject({
    code: 'usage',
    hint: expect.stringContaining('URL-OF-THE-OWNER'),
  })
  expect(await verifyAudit(served)).toMatchObject({ rows: 1, faults: [], since: null })
  // A clock that was set back: of what is kept, a row is older than one that is dropped.
  await write(url, 'a', '2025-10-03')
  await expect(dropAudit(database, '2025-11')).rejects.toMatchObject({ code: 'corrupt-state' })
  expect(await verifyAudit(served)).toMatchObject({ rows: 2, faults: [] })
})

test('rows without a partition are kept, and get one later', async () => {
  const url = await postgres.create()
  const database = open(url, 'a')
  const names = await partitions(url)
  expect(names).toHaveLength(4)
  await postgres.server.psql(
    url,
    `${backdated('2031-05-06')} select rootling.audit_at('a', 'me', 'x', '{}')`,
  )
  expect(await postgres.server.psql(url, 'select count(*) from rootling.audit_default')).toBe('1\n')
  const prepared = Array.from({ length: 4 }, () =>
    open(url, 'x').query('SELECT rootling.prepare_audit() AS done'),
  )
  expect((await Promise.all(prepared)).flat()).toEqual(prepared.map(() => ({ done: true })))
  expect(await postgres.server.psql(url, 'select count(*) from rootling.audit_2031_05')).toBe('1\n')
  expect(await verifyAudit(database)).toMatchObject({ rows: 1, faults: [] })
})

test('a dump that reads the audit is not waited for long', async () => {
  const url = await create()
  const database = open(url, 'a')
  await write(url, 'a', '2025-11-03')
  const reader = open(url, 'reader')
  await reader.transaction(async () => {
    await reader.query('SELECT count(*) FROM rootling.audit')
    await postgres.server.psql(
      url,
      `${backdated('2031-05-06')} select rootling.audit_at('a', 'me', 'x', '{}')`,
    )
    expect(await database.query('SELECT rootling.prepare_audit() AS done')).toEqual([
      { done: false },
    ])
    await expect(dropAudit(database, '2026-01')).rejects.toMatchObject({ code: 'locked' })
  })
  await expect(dropAudit(database, '2026-01')).resolves.toMatchObject({ rows: 1 })
})

test('a table of before becomes the first partition, with its rows and its readers', async () => {
  const url = await postgres.server.createDatabase()
  const database = open(url, 'a')
  await migrate(database, migrations.slice(0, 3))
  const role = `reads_${url.split('/').at(-1)}`
  await postgres.server.psql(
    url,
    `create role ${role} login; grant usage on schema rootling to ${role};
     grant select, insert on rootling.audit to ${role}`,
  )
  for (let i = 0; i < 5; i++) await recordAudit(database, { actor: 'me', event: 'x', facts: { i } })
  const before = await verifyOld(database)
  // Processes of the step before go on meanwhile.
  let isOver = false
  let written = 0
  const writing = (async () => {
    for (const old = open(url, 'old'); !isOver; written++)
      await recordAudit(old, { actor: 'me', event: 'y', facts: {} })
  })()
  await migrate(open(url, 'new'))
  isOver = true
  await writing
  const served = open(url.replace('postgres@', `${role}@`), 'c')
  // It writes by the function, and no longer in another way.
  await served.query("SELECT rootling.audit('c', 'me', 'z', '{}')")
  await expect(
    served.query('INSERT INTO rootling.audit SELECT * FROM rootling.audit'),
  ).rejects.toMatchObject({ code: '42501' })
  const count = await postgres.server.psql(url, 'select count(*) from rootling.audit')
  expect(count).toBe(`${5 + written + 1}\n`)
  const check = await verifyAudit(database, before)
  expect(check.faults).toEqual([])
})

/** The heads of the audit in a schema that has no table of where chains begin. */
async function verifyOld(database: Database) {
  const rows = await database.query(
    "SELECT replica, n, encode(hash, 'hex') AS hash FROM rootling.audit ORDER BY n DESC LIMIT 1",
  )
  return rows.map(({ replica, n, hash }) => ({
    replica: String(replica),
    n: Number(n),
    hash: String(hash),
  }))
}
