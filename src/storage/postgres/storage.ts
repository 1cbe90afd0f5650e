import { RootlingError } from '../../errors.ts'
import type { Revocation } from '../../x509/revocation.ts'
import { isDueForRenewal, parseValidity, renewalTime } from '../../x509/profiles.ts'
import { bare, type CertificateRecord } from '../records.ts'
import {
  digestOf,
  inOrder,
  type PublicHalf,
  type RotationPart,
  type StoredScope,
} from '../scopes.ts'
import type {
  CertificateReader,
  Change,
  Entry,
  KeyReader,
  ScopeReader,
  Storage,
} from '../storage.ts'
import { toJsonb, type Database, type Row } from './database.ts'
import type { Sealer } from './seal.ts'

/**
 * Returns what a database holds, as a storage for any number of processes. `migrate` has made its
 * schema. A change is one transaction: where its work throws, nothing of it stands. Every function
 * throws `database-away` where the database does not answer.
 */
export function postgresStorage(database: Database, sealer: Sealer): Storage {
  const readers = {
    scopes: readScopes(database),
    certificates: readCertificates(database),
    keys: readKeys(database, sealer),
  }
  const change = openChange(database, sealer, readers)
  return {
    place: database.place,
    ...readers,
    async change(work) {
      try {
        return await database.transaction(async () => {
          // Units of the ACME server take this lock together, changes alone.
          await database.query('SELECT pg_advisory_xact_lock(7274646, 1)')
          return work(change)
        })
      } finally {
        database.scopesVersion.forget()
      }
    },
  }
}

const missing = (name: string, place: string): RootlingError =>
  new RootlingError('corrupt-state', `There is no scope ${name} in ${place}.`)

function readScopes(database: Database): ScopeReader {
  const read = async (columns: string, name: string, part: string): Promise<Row> => {
    const [row] = await database.query(
      `SELECT ${columns} FROM rootling.scope WHERE name = $1 AND part = $2`,
      [name, part],
    )
    if (row === undefined) throw missing(name + part, database.place)
    return row
  }
  const octets = async (column: string, name: string): Promise<Buffer | null> =>
    (await read(column, name, ''))[column] as Buffer | null
  return {
    async version() {
      const recent = database.scopesVersion.get()
      if (recent !== null) return recent
      const version = await revision(database, 'scopes')
      database.scopesVersion.seen(version)
      return version
    },
    async names() {
      const rows = await database.query("SELECT name FROM rootling.scope WHERE part = ''")
      return inOrder(rows.map(({ name }) => String(name)))
    },
    async read(name, part = '' as RotationPart) {
      const columns = 'scope, root, intermediate, root_copies, key_digest'
      const row = await read(columns, name, part)
      const copies = row['root_copies'] as string | null
      return {
        scope: row['scope'] as StoredScope,
        root: String(row['root']),
        intermediate: String(row['intermediate']),
        keyDigest: String(row['key_digest']),
        ...(copies === null ? {} : { rootCopies: copies }),
      } satisfies PublicHalf
    },
    async parts() {
      const rows = await database.query(
        "SELECT name, part FROM rootling.scope WHERE part <> '' ORDER BY name, part",
      )
      return rows.map(({ name, part }) => ({ name: String(name), part: part as RotationPart }))
    },
    async rootCrl(name) {
      const crl = await octets('root_crl', name)
      if (crl === null)
        throw new RootlingError('corrupt-state', `No CRL was made for the root of ${name}.`)
      return crl
    },
    rootOcsp: (name) => octets('root_ocsp', name),
  }
}

/** What a key is sealed for. */
const contextOf = (digest: string): string => `the key ${digest}`

function readKeys(database: Database, sealer: Sealer): KeyReader {
  return {
    async read(name, digest) {
      const [row] = await database.query(
        // The digest says of which part of a rotation the key is.
        'SELECT sealed_key FROM rootling.scope WHERE name = $1 AND key_digest = $2',
        [name, digest],
      )
      if (row === undefined) throw missing(name, database.place)
      const key = sealer.open(row['sealed_key'] as Buffer, contextOf(digest)).toString()
      if (digestOf(key) === digest) return key
      throw new RootlingError('corrupt-state', `The key of ${name} belongs to another scope.`)
    },
  }
}

/** A text that differs after each change of so named things. */
async function revision(database: Database, name: string): Promise<string> {
  const [row] = await database.query(
    'SELECT number::text AS number FROM rootling.revision WHERE name = $1',
    [name],
  )
  return row === undefined ? '0' : String(row['number'])
}

/** How many certificates a page has. */
const pageLength = 1_000

const columns = 'c.n, c.facts, f.serial IS NOT NULL AS forgotten, r.facts AS revocation'
const joined = `rootling.certificate c LEFT JOIN rootling.revocation r USING (serial)
  LEFT JOIN rootling.forgotten f USING (serial)`

function entryOf({ facts, forgotten, revocation }: Row): Entry {
  return {
    certificate: facts as CertificateRecord,
    revocation: revocation as Revocation | null,
    forgotten: forgotten as boolean,
  }
}

/** Whether no later certificate has taken the file of `c`. */
const isNewest =
  'NOT EXISTS (SELECT FROM rootling.certificate l WHERE l.path = c.path AND l.n > c.n)'

function readCertificates(database: Database): CertificateReader {
  async function find(where: string, ...values: readonly unknown[]): Promise<Entry | null> {
    const [row] = await database.query(`SELECT ${columns} FROM ${joined} WHERE ${where}`, values)
    return row === undefined ? null : entryOf(row)
  }
  async function* pages(where: string): AsyncGenerator<readonly Entry[]> {
    for (let after = '0'; ;) {
      const rows = await database.query(
        `SELECT ${columns} FROM ${joined} WHERE c.n > $1 AND ${where} ORDER BY c.n LIMIT ${pageLength}`,
        [after],
      )
      if (rows.length > 0) yield rows.map(entryOf)
      if (rows.length < pageLength) return
      after = String(rows.at(-1)?.['n'])
    }
  }
  return {
    async version() {
      // Of two that are recorded at once, the first number may be seen last: then the count differs.
      const [row] = await database.query(
        `WITH last AS (SELECT coalesce(max(n), 0) AS n FROM rootling.certificate)
         SELECT concat_ws('/', last.n, (SELECT number FROM rootling.revision WHERE name = 'record'),
           (SELECT count(*) FROM rootling.certificate c WHERE c.n > last.n - 1000)) AS version
         FROM last`,
      )
      return String(row?.['version'])
    },
    find: (serialNumber) => find('serial = $1', bare(serialNumber)),
    findByFingerprint: (fingerprint) => find('c.fingerprint = $1', fingerprint),
    findByFile: (path) => find('c.path = $1 ORDER BY c.n DESC LIMIT 1', path),
    async revocationOf(serialNumber) {
      const [row] = await database.query(
        'SELECT facts FROM rootling.revocation WHERE serial = $1',
        [bare(serialNumber)],
      )
      return (row?.['facts'] as Revocation | undefined) ?? null
    },
    revocationsVersion: (scope) => revision(database, `revocations ${scope}`),
    async revoked(scope, notBefore) {
      const rows = await database.query(
        `SELECT ${columns} FROM rootling.revocation r JOIN rootling.certificate c USING (serial)
         LEFT JOIN rootling.forgotten f USING (serial)
         WHERE c.scope = $1 AND c.not_after >= $2 ORDER BY c.n`,
        [scope, notBefore.toISOString()],
      )
      return rows.map(entryOf)
    },
    async due(at, { scopes, also = [] }) {
      const entries: Entry[] = []
      let next: number | null = null
      const wanted = new Set(also.map(bare))
      for await (const page of pages(
        `c.path IS NOT NULL AND f.serial IS NULL AND r.serial IS NULL AND ${isNewest}`,
      ))
        for (const entry of page) {
          const { certificate } = entry
          if (!scopes.includes(certificate.scope)) continue
          const validity = parseValidity(certificate)
          if (isDueForRenewal(validity, at) || wanted.has(bare(certificate.serialNumber)))
            entries.push(entry)
          else next = Math.min(next ?? Infinity, renewalTime(validity))
        }
      return { entries, next }
    },
    current: ({ printed = false } = {}) =>
      pages(`(c.path IS ${printed ? 'NULL OR c.path IS NOT NULL' : 'NOT NULL'}) AND ${isNewest}`),
    all: () => pages('true'),
  }
}

type Readers = Pick<Change, 'scopes' | 'certificates' | 'keys'>

/** The calls of a change, each part of the transaction in which it is called. */
function openChange(database: Database, sealer: Sealer, readers: Readers): Change {
  const touch = (name: string) => database.query('SELECT rootling.touch($1)', [name])
  const audit = (event: string, facts: object) =>
    database.query('SELECT rootling.audit($1, $2)', [event, toJsonb(facts)])
  const touchScope = async (serialNumber: string): Promise<void> => {
    await touch('record')
    const [row] = await database.query('SELECT scope FROM rootling.certificate WHERE serial = $1', [
      bare(serialNumber),
    ])
    if (row !== undefined) await touch(`revocations ${String(row['scope'])}`)
  }
  return {
    ...readers,
    scopes: { ...readers.scopes, version: () => revision(database, 'scopes') },
    async createScope(files, key, part) {
      const { scope, root, intermediate, rootCopies, rootCrl, rootOcsp } = files
      const digest = digestOf(key)
      const made = await database.query(
        `INSERT INTO rootling.scope VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT DO NOTHING RETURNING name`,
        [
          scope.name,
          part ?? '',
          toJsonb(scope),
          root,
          intermediate,
          rootCopies ?? null,
          rootCrl,
          rootOcsp ?? null,
          digest,
          sealer.seal(Buffer.from(key), contextOf(digest)),
        ],
      )
      await touch('scopes')
      if (made.length === 1)
        await audit('createScope', { scope: scope.name, part: part ?? '', keyDigest: digest })
      return made.length === 1
    },
    async switchScope(name) {
      const [next] = await database.query(
        "SELECT name FROM rootling.scope WHERE name = $1 AND part = '.next'",
        [name],
      )
      if (next === undefined) throw missing(`${name}.next`, database.place)
      await database.query("DELETE FROM rootling.scope WHERE name = $1 AND part = '.old'", [name])
      for (const [from, to] of [
        ['', '.old'],
        ['.next', ''],
      ])
        await database.query('UPDATE rootling.scope SET part = $3 WHERE name = $1 AND part = $2', [
          name,
          from,
          to,
        ])
      await touch('scopes')
      await audit('switchScope', { scope: name })
    },
    async deleteScope(name, part = '' as RotationPart) {
      const deleted = await database.query(
        'DELETE FROM rootling.scope WHERE name = $1 AND part = $2 RETURNING name',
        [name, part],
      )
      await touch('scopes')
      if (deleted.length > 0) await audit('deleteScope', { scope: name, part })
      return []
    },
    async issued(certificates) {
      await database.query(
        'SELECT rootling.record(facts) FROM jsonb_array_elements($1::jsonb) AS facts',
        [toJsonb(certificates)],
      )
    },
    async revoked(revocation) {
      await database.query(
        `INSERT INTO rootling.revocation VALUES ($1, $2)
         ON CONFLICT (serial) DO UPDATE SET facts = excluded.facts`,
        [bare(revocation.serialNumber), toJsonb(revocation)],
      )
      await touchScope(revocation.serialNumber)
      const { reason } = revocation
      await audit('revoked', { serial: bare(revocation.serialNumber), reason })
    },
    async released(serialNumber) {
      await database.query('DELETE FROM rootling.revocation WHERE serial = $1', [
        bare(serialNumber),
      ])
      await touchScope(serialNumber)
      await audit('released', { serial: bare(serialNumber) })
    },
    async forgotten(serialNumbers) {
      await database.query(
        'INSERT INTO rootling.forgotten SELECT unnest($1::text[]) ON CONFLICT DO NOTHING',
        [serialNumbers.map(bare)],
      )
      await touch('record')
    },
    async nextCrlNumber(scope, now) {
      const [row] = await database.query(
        `INSERT INTO rootling.crl_number AS c VALUES ($1, $2, $3)
         ON CONFLICT (scope) DO UPDATE SET number = greatest(c.number + 1, excluded.number), made = $3
         RETURNING number`,
        [scope, Math.floor(now.getTime() / 1000), now.toISOString()],
      )
      return Number(row?.['number'])
    },
  }
}
