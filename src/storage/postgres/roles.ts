import { RootlingError } from '../../errors.ts'
import type { Database } from './database.ts'

/**
 * What a role that serves may do with each table. It writes certificates and the audit by functions of
 * the owner alone: each certificate is in the audit, and a row is added at the end of a chain, at the
 * database's time. What it may do with the table of migrations is to read it.
 */
const rights: Readonly<Record<string, string>> = {
  migration: 'SELECT',
  audit: 'SELECT',
  audit_start: 'SELECT',
  certificate: 'SELECT',
  newest: 'SELECT, DELETE',
  newest_until: 'SELECT',
  forgotten: 'SELECT, INSERT',
  secret: 'SELECT, INSERT',
  crl_number: 'SELECT, INSERT, UPDATE',
  revision: 'SELECT, INSERT, UPDATE',
  scope: 'SELECT, INSERT, UPDATE, DELETE',
  revocation: 'SELECT, INSERT, UPDATE, DELETE',
  acme: 'SELECT, INSERT, UPDATE, DELETE',
  lease: 'SELECT, INSERT, UPDATE, DELETE',
  nonce: 'SELECT, INSERT, UPDATE, DELETE',
}

/**
 * Lets a role serve, and no more: what it could do before in our schema is taken from it. The owner of
 * the schema does this with each migration, best within one transaction that is not marked, so that
 * processes that serve meanwhile never lack a right to what is new. Throws `usage` for a role that is
 * absent, or that is the owner or may become it, and `database-away`.
 */
export async function grantServing(database: Database, role: string): Promise<void> {
  const [found] = await database.query(
    `SELECT format('%I', r.rolname) AS quoted, pg_has_role(r.oid, s.nspowner, 'MEMBER') AS owns
     FROM pg_roles r, pg_namespace s WHERE r.rolname = $1 AND s.nspname = 'rootling'`,
    [role],
  )
  if (found === undefined)
    throw new RootlingError('usage', `There is no role ${role} in ${database.place}.`, {
      hint: 'Create it first, as by: createuser NAME',
    })
  if (found['owns'] === true)
    throw new RootlingError('usage', `The role ${role} owns the schema, or may become its owner.`, {
      hint: 'Name another role to serve, which is no superuser',
    })
  const quoted = String(found['quoted'])
  await database.transaction(async () => {
    for (const sql of [
      `REVOKE ALL ON SCHEMA rootling FROM ${quoted}`,
      `REVOKE ALL ON ALL TABLES IN SCHEMA rootling FROM ${quoted}`,
      `GRANT USAGE ON SCHEMA rootling TO ${quoted}`,
      `GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rootling TO ${quoted}`,
      ...Object.entries(rights).map(
        ([table, right]) => `GRANT ${right} ON rootling.${table} TO ${quoted}`,
      ),
    ])
      await database.query(sql)
  })
}
