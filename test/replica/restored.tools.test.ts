import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { makeScope } from '../../src/authority/ceremony.ts'
import { makeCrl } from '../../src/certificates/crl.ts'
import { checkRestored } from '../../src/replica/restored.ts'
import { verifyAudit } from '../../src/storage/postgres/audit.ts'
import { sealWith } from '../../src/storage/postgres/seal.ts'
import { postgresStorage } from '../../src/storage/postgres/storage.ts'
import { bare } from '../../src/storage/records.ts'
import { inspectCrl } from '../../src/x509/crl-reader.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { builtPrograms } from '../helpers/built.ts'
import { certificate, serialOf } from '../helpers/filled-record.ts'
import { usePostgres } from '../helpers/postgres.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'

const postgres = usePostgres()
const programs = builtPrograms()
const sealer = sealWith('correct horse battery')
const lasting = { scope: 'team', notAfter: new Date(Date.now() + 1e9).toISOString() }
const revocation = (i: number) => ({
  serialNumber: serialOf(i),
  reason: 'keyCompromise' as const,
  revokedAt: new Date().toISOString(),
})

test('what the guide says: dump, kept CRL, restore, compare, revoke again', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'rootling-restored-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const passphrase = join(directory, 'passphrase')
  await writeFile(passphrase, 'correct horse battery\n', { mode: 0o600 })
  const env = { ...scrubbedEnvironment(directory), ROOTLING_HOME: join(directory, 'state') }
  const rootling = (...args: string[]) =>
    run(programs.rootling, args, { ...env, PATH: process.env['PATH'] ?? '' })

  const owner = await postgres.create()
  const role = `serving_${owner.split('/').at(-1)}`
  await postgres.server.psql(owner, `create role ${role} login`)
  const init = ['server', 'init', '--database', owner, '--grant', role, '--permit', 'team.internal']
  expect(await rootling(...init, '--passphrase-file', passphrase)).toMatchObject({ exitCode: 0 })
  const storage = postgresStorage(postgres.open(owner), sealer)
  await storage.change(async (change) => {
    await change.issued([1, 2].map((i) => certificate(i, lasting)))
    await change.revoked(revocation(1))
  })

  // In a directory in which PostgreSQL, as another user, may write.
  const dump = `${owner.split('/').at(-1)}.dump`
  const file = join(tmpdir(), dump)
  onTestFinished(() => rm(file, { force: true }))
  await postgres.server.program('pg_dump', '-Fc', '-f', file, owner)
  // Revoked since the backup; 3 was issued since, too.
  await storage.change(async (change) => {
    await change.issued([certificate(3, lasting)])
    await change.revoked(revocation(2))
    await change.revoked(revocation(3))
  })
  const crl = await makeCrl(storage, 'team', new Date(Date.now() + 3_600_000))
  const kept = join(directory, 'team.crl')
  await writeFile(kept, crl)

  const restored = await postgres.server.createDatabase()
  await postgres.server.program('pg_restore', '-d', restored, file)
  const migrated = await rootling('server', 'migrate', '--database', restored, '--grant', role)
  expect(migrated).toMatchObject({ exitCode: 0 })
  const line = ['server', 'restored', '--database', restored, '--crl', kept]
  const compared = await rootling(...line, '--json')
  expect(compared.exitCode, compared.stderr).toBe(1)
  const told = JSON.parse(compared.stdout) as { forgotten: { serialNumber: string }[] }
  expect(told.forgotten.map(({ serialNumber }) => bare(serialNumber))).toEqual(
    [2, 3].map((i) => bare(serialOf(i))),
  )
  expect(told).toMatchObject({ scope: 'team', revoked: false })
  // A role that serves compares, and does not restore.
  const serving = ['server', 'restored', '--database', restored.replace('postgres@', `${role}@`)]
  expect(await rootling(...serving, '--crl', kept)).toMatchObject({ exitCode: 1 })
  const refused = await rootling(...serving, '--crl', kept, '--revoke')
  expect(refused.stderr).toContain('URL-OF-THE-OWNER')
  expect(await rootling(...line, '--revoke')).toMatchObject({ exitCode: 0 })
  const again = await rootling(...line)
  expect([again.exitCode, again.stdout]).toEqual([0, ''])

  // The next CRL lists all three, with a number above that of the kept one, whose clock was ahead.
  const opened = postgres.open(restored)
  const next = inspectCrl(await makeCrl(postgresStorage(opened, sealer), 'team', new Date()))
  expect(next.revoked.map(({ serialNumber }) => bare(serialNumber)).toSorted()).toEqual(
    [1, 2, 3].map((i) => bare(serialOf(i))),
  )
  expect(Number(next.crlNumber)).toBeGreaterThan(Number(inspectCrl(crl).crlNumber))
  expect((await verifyAudit(opened)).faults).toEqual([])
  const rows = await postgres.server.psql(
    restored,
    "select facts->>'serial' from rootling.audit where actor like 'restored from CRL %' order by n",
  )
  expect(rows.trim().split('\n')).toEqual([2, 3].map((i) => bare(serialOf(i))))
})

test('a CRL is believed that the authority signed, DER or PEM, and no other', async () => {
  const found = async () => {
    const storage = postgresStorage(postgres.open(await postgres.create()), sealer)
    const plan = { name: 'team', permitted: [], constraints: null }
    const { intermediateKey, ...scope } = await makeScope(plan, new Date())
    await storage.change(async (change) => {
      await change.createScope(scope, intermediateKey)
      await change.issued([certificate(1, lasting)])
      await change.revoked(revocation(1))
    })
    return storage
  }
  const [ours, theirs] = [await found(), await found()]
  const crl = await makeCrl(ours, 'team', new Date())
  const text = `A CRL:\n${encodePem('X509 CRL', crl)}`
  for (const contents of [crl, Buffer.from(text)])
    expect(await checkRestored(ours, contents)).toMatchObject({ scope: 'team', forgotten: [] })
  await expect(checkRestored(theirs, crl)).rejects.toMatchObject({ code: 'not-ours' })
  const changed = Buffer.from(crl)
  const at = changed.indexOf(Buffer.from(bare(serialOf(1)), 'hex'))
  expect(at).toBeGreaterThan(0)
  changed[at + 15] = 0x77
  await expect(checkRestored(ours, changed)).rejects.toMatchObject({ code: 'not-ours' })
  const bad = { code: 'bad-der' }
  await expect(checkRestored(ours, Buffer.from('hello'))).rejects.toMatchObject(bad)
  await expect(checkRestored(ours, Buffer.alloc(0))).rejects.toMatchObject(bad)
  const other = Buffer.from(encodePem('CERTIFICATE', crl))
  await expect(checkRestored(ours, other)).rejects.toMatchObject(bad)
})
