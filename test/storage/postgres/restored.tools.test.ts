import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { commitStep } from '../../../src/acme/store/contract.ts'
import { openPostgresStore } from '../../../src/acme/store/postgres.ts'
import { makeScope } from '../../../src/authority/ceremony.ts'
import { createRevocationSource } from '../../../src/sites/revocation/source.ts'
import { verifyAudit } from '../../../src/storage/postgres/audit.ts'
import { migrate } from '../../../src/storage/postgres/migrate.ts'
import { forgottenRevocations } from '../../../src/storage/postgres/restored.ts'
import { sealWith } from '../../../src/storage/postgres/seal.ts'
import { postgresStorage } from '../../../src/storage/postgres/storage.ts'
import { bare } from '../../../src/storage/records.ts'
import { inspectCrl } from '../../../src/x509/crl-reader.ts'
import { certificate, serialOf } from '../../helpers/filled-record.ts'
import { usePostgres } from '../../helpers/postgres.ts'

const postgres = usePostgres()
const sealer = sealWith('correct horse')

test('a restored authority repeats no CRL number, and is told which revocations it lost', async () => {
  const url = await postgres.create()
  const database = postgres.open(url)
  const storage = postgresStorage(database, sealer)
  const plan = { name: 'local', permitted: [], constraints: null }
  const { intermediateKey, ...scope } = await makeScope(plan, new Date())
  const lasting = { notAfter: new Date(Date.now() + 1e9).toISOString() }
  const revoke = (i: number) =>
    storage.change((change) =>
      change.revoked({
        serialNumber: serialOf(i),
        reason: 'keyCompromise',
        revokedAt: new Date().toISOString(),
      }),
    )
  await storage.change(async (change) => {
    await change.createScope(scope, intermediateKey)
    await change.issued([1, 2, 3].map((i) => certificate(i, lasting)))
  })
  const store = await openPostgresStore(database, sealer)
  const secret = 'SECRETHMACOFTHEKEY'
  await commitStep(store, {}, (unit) => unit.put('eabKey', { id: 'k', key: secret, createdAt: 7 }))
  await revoke(1)

  const file = join(tmpdir(), `rootling-dump-${randomUUID()}`)
  onTestFinished(() => rm(file, { force: true }))
  await postgres.server.program('pg_dump', '-Fc', '-f', file, url)
  const plain = await postgres.server.program('pg_dump', url)

  // Revoked after the backup, and in a CRL that was kept.
  await revoke(2)
  const crl = await createRevocationSource(storage, () => new Date()).crl('local')
  if (crl === null) throw new Error('no CRL')
  const { crlNumber } = inspectCrl(crl)

  const restoredUrl = await postgres.server.createDatabase()
  await postgres.server.program('pg_restore', '-d', restoredUrl, file)
  const restoredDatabase = postgres.open(restoredUrl)
  await migrate(restoredDatabase)
  const restored = postgresStorage(restoredDatabase, sealer)
  expect((await forgottenRevocations(restored, crl)).map(bare)).toEqual([bare(serialOf(2))])
  expect(await forgottenRevocations(storage, crl)).toEqual([])
  const later = new Date(Date.now() + 1_000)
  const number = await restored.change((change) => change.nextCrlNumber('local', later))
  expect(number).toBeGreaterThan(Number(crlNumber))
  expect(number).toBeGreaterThanOrEqual(Math.floor(later.getTime() / 1000))
  const { keyDigest } = await restored.scopes.read('local')
  expect(await restored.keys.read('local', keyDigest)).toBe(intermediateKey)
  const { rows, faults } = await verifyAudit(restoredDatabase)
  expect([rows, faults]).toEqual([5, []])
  const { replicas } = await verifyAudit(database)
  // The heads from before say that the backup is older.
  expect((await verifyAudit(restoredDatabase, replicas)).faults).toEqual([
    { replica: 'rootling', n: 6, what: 'missing' },
  ])

  const body = Buffer.from(intermediateKey.split('\n').slice(1, -2).join(''), 'base64')
  const key = body.subarray(30, 60)
  const hidden = [Buffer.from(secret), key].flatMap((octets) => [
    octets.toString('latin1'),
    octets.toString('hex'),
    // Without the ends, which depend on what stands beside them.
    octets.toString('base64').slice(0, 20),
  ])
  // The other form of the dump has the same, compressed.
  expect(plain).toContain('BEGIN CERTIFICATE')
  expect(plain).not.toContain('PRIVATE KEY')
  for (const one of hidden) expect(plain).not.toContain(one)
})
