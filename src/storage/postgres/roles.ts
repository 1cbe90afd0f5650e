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
 * absent, that is the owner or may become it, or that could do more by another role, and `database-away`.
 */
export async function grantServing(database: Database, role: string): Promise<void> {
  // Before PostgreSQL 16 a role with CREATEROLE could make itself a member of any other one.
  const [found] = await database.query(
    `SELECT format('%I', r.rolname) AS quoted, pg_has_role(r.oid, s.nspowner, 'MEMBER')
       OR r.rolcreaterole AND current_setting('server_version_num')::int < 160000
       OR EXISTS (
         SELECT FROM pg_roles p WHERE p.rolname = ANY ($2) AND pg_has_role(r.oid, p.oid, 'MEMBER')
       ) AS owns
     FROM pg_roles r, pg_namespace s WHERE r.rolname = $1 AND s.nspname = 'rootling'`,
    [role, ofTheServer],
  )
  if (found === undefined)
    throw new RootlingError('usage', `There is no role ${role} in ${database.place}.`, {
      hint: 'Create it first, as by: createuser NAME',
    })
  if (found['owns'] === true)
    throw new RootlingError('usage', `The role ${role} owns the schema, or may become its owner.`, {
      hint: 'Name another role to serve, which is no superuser and may create no roles',
    })
  const quoted = String(found['quoted'])
  await database.transaction(async () => {
    for (const sql of [
      `REVOKE ALL ON SCHEMA rootling FROM ${quoted}`,
      `REVOKE ALL ON ALL TABLES IN SCHEMA rootling FROM ${quoted}, PUBLIC`,
      `REVOKE ALL ON ALL SEQUENCES IN SCHEMA rootling FROM ${quoted}, PUBLIC`,
      `GRANT USAGE ON SCHEMA rootling TO ${quoted}`,
      `GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rootling TO ${quoted}`,
      ...Object.entries(rights).map(
        ([table, right]) => `GRANT ${right} ON rootling.${table} TO ${quoted}`,
      ),
    ])
      await database.query(sql)
    const [beyond] = await database.query(beyondRights, [role, JSON.stringify(rights)])
    if (beyond !== undefined)
      throw new RootlingError(
        'usage',
        `The role ${role} would keep ${String(beyond['right'])} on ${String(beyond['name'])}, which another role gives it.`,
        { hint: 'Name another role to serve, which is a member of none' },
      )
  })
}

/** Who is a member of one of these can become a superuser, or write all tables. */
const ofTheServer = ['pg_execute_server_program', 'pg_write_server_files', 'pg_write_all_data']

/** Finds what a role may do in our schema beyond `rights`, such as by a role that it is a member of. */
const beyondRights = `
  SELECT c.relname AS name, one AS right FROM pg_class c
  CROSS JOIN unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS one
  WHERE c.relnamespace = 'rootling'::regnamespace AND c.relkind IN ('r', 'p', 'S')
    AND CASE
      WHEN c.relkind = 'S' THEN one = 'UPDATE' AND has_sequence_privilege($1, c.oid, 'UPDATE')
      WHEN one IN ('INSERT', 'UPDATE', 'REFERENCES') THEN has_any_column_privilege($1, c.oid, one)
      ELSE has_table_privilege($1, c.oid, one)
    END
    AND NOT one = ANY (string_to_array(coalesce($2::jsonb->>c.relname, ''), ', '))
  LIMIT 1`
