/** One step of the schema. A step that was released never changes. */
export interface Migration {
  readonly number: number
  readonly sql: string
}

/**
 * The schema, all of it in the schema `rootling` of the database. Within a release steps only add, so
 * that replicas of the version before go on while the next ones start.
 */
export const migrations: readonly Migration[] = [
  {
    number: 1,
    sql: `
-- What differs after each change: 'scopes', 'record' and 'revocations NAME'.
CREATE TABLE rootling.revision (name text PRIMARY KEY, number bigint NOT NULL);
INSERT INTO rootling.revision VALUES ('scopes', 0), ('record', 0);

-- part: '' for the scope in use, '.next' and '.old' during a rotation.
CREATE TABLE rootling.scope (
  name text NOT NULL,
  part text NOT NULL,
  scope jsonb NOT NULL,
  root text NOT NULL,
  intermediate text NOT NULL,
  root_copies text,
  root_crl bytea,
  root_ocsp bytea,
  key_digest text NOT NULL,
  sealed_key bytea NOT NULL,
  PRIMARY KEY (name, part)
);
CREATE TABLE rootling.crl_number (scope text PRIMARY KEY, number bigint NOT NULL);
CREATE TABLE rootling.secret (name text PRIMARY KEY, value bytea NOT NULL);

-- n: the order in which certificates were recorded. Serial numbers are without leading zeros.
CREATE TABLE rootling.certificate (
  n bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  serial text PRIMARY KEY,
  fingerprint text NOT NULL UNIQUE,
  scope text NOT NULL,
  not_after timestamptz NOT NULL,
  path text,
  facts jsonb NOT NULL
);
CREATE INDEX certificate_path ON rootling.certificate (path, n) WHERE path IS NOT NULL;
-- Either may come before the certificate is on record.
CREATE TABLE rootling.revocation (serial text PRIMARY KEY, facts jsonb NOT NULL);
CREATE TABLE rootling.forgotten (serial text PRIMARY KEY);

-- Accounts, orders, authorizations, certificates and keys for external account binding. key is what
-- only one resource of its kind has: a thumbprint, a serial number.
CREATE TABLE rootling.acme (
  kind text NOT NULL,
  id text NOT NULL,
  version bigint NOT NULL,
  account text,
  key text,
  created bigint,
  open boolean NOT NULL,
  facts jsonb NOT NULL,
  PRIMARY KEY (kind, id)
);
CREATE UNIQUE INDEX acme_key ON rootling.acme (kind, key) WHERE key IS NOT NULL;
CREATE INDEX acme_orders ON rootling.acme (account, created, id) WHERE kind = 'order';
CREATE INDEX acme_open_orders ON rootling.acme (account) WHERE kind = 'order' AND open;
CREATE INDEX acme_validating ON rootling.acme (id) WHERE kind = 'authorization' AND open;
CREATE TABLE rootling.lease (
  authz text NOT NULL,
  challenge text NOT NULL,
  until bigint NOT NULL,
  PRIMARY KEY (authz, challenge)
);
-- The row says that a unit happened: by is the random name of the unit, by which it knows its own.
-- Rows of days whose nonces are refused are deleted.
CREATE TABLE rootling.nonce (
  day int NOT NULL,
  nonce bytea NOT NULL,
  by bytea NOT NULL,
  PRIMARY KEY (day, nonce)
);

CREATE FUNCTION rootling.touch(of text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO rootling.revision AS r VALUES (of, 1)
  ON CONFLICT (name) DO UPDATE SET number = r.number + 1
$$;

-- Records a certificate. Its facts are a CertificateRecord.
CREATE FUNCTION rootling.record(facts jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  own text := ltrim(facts->>'serialNumber', '0');
BEGIN
  INSERT INTO rootling.certificate (serial, fingerprint, scope, not_after, path, facts)
  VALUES (
    own, facts->>'fingerprint', facts->>'scope',
    (facts->>'notAfter')::timestamptz, facts->>'certPath', facts
  );
  -- Its revocation may have been first, as where two records are joined.
  IF EXISTS (SELECT FROM rootling.revocation r WHERE r.serial = own) THEN
    PERFORM rootling.touch('revocations ' || (facts->>'scope'));
  END IF;
END $$;

-- One unit of the ACME server, in one round trip and one transaction. RL001: it conflicts.
CREATE FUNCTION rootling.commit_unit(
  unit_day int, unit_nonce bytea, unit_by bytea, looked jsonb, puts jsonb, leases jsonb,
  recording jsonb
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  other bytea;
  one jsonb;
  found_version bigint;
BEGIN
  -- Whatever the role's default is: what a client is told must not be lost.
  PERFORM set_config('synchronous_commit', 'on', true);
  INSERT INTO rootling.nonce VALUES (unit_day, unit_nonce, unit_by) ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    SELECT by INTO other FROM rootling.nonce WHERE day = unit_day AND nonce = unit_nonce;
    RETURN CASE WHEN other = unit_by THEN 'done' ELSE 'replayed' END;
  END IF;
  FOR one IN SELECT * FROM jsonb_array_elements(looked) LOOP
    SELECT version INTO found_version FROM rootling.acme
    WHERE kind = one->>0 AND id = one->>1 FOR SHARE;
    IF coalesce(found_version, 0) <> (one->>2)::bigint THEN
      RAISE EXCEPTION USING ERRCODE = 'RL001', MESSAGE = 'changed meanwhile';
    END IF;
  END LOOP;
  FOR one IN SELECT * FROM jsonb_array_elements(puts) LOOP
    IF (one->>'version')::bigint = 0 THEN
      INSERT INTO rootling.acme VALUES (
        one->>'kind', one->>'id', 1, one->>'account', one->>'key', (one->>'created')::bigint,
        (one->>'open')::boolean, one->'facts'
      );
    ELSE
      UPDATE rootling.acme SET version = version + 1, account = one->>'account',
        key = one->>'key', open = (one->>'open')::boolean, facts = one->'facts'
      WHERE kind = one->>'kind' AND id = one->>'id' AND version = (one->>'version')::bigint;
      IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'RL001', MESSAGE = 'changed meanwhile';
      END IF;
    END IF;
  END LOOP;
  FOR one IN SELECT * FROM jsonb_array_elements(leases) LOOP
    INSERT INTO rootling.lease VALUES (one->>0, one->>1, (one->>2)::bigint)
    ON CONFLICT (authz, challenge) DO UPDATE SET until = excluded.until;
  END LOOP;
  IF recording IS NOT NULL THEN
    -- Changes take this lock alone, units together.
    PERFORM pg_advisory_xact_lock_shared(7274646, 1);
    IF (SELECT number::text FROM rootling.revision WHERE name = 'scopes')
        <> recording->>'scopesVersion' THEN
      RAISE EXCEPTION USING ERRCODE = 'RL001', MESSAGE = 'the scopes have changed';
    END IF;
    PERFORM rootling.record(recording->'certificate');
  END IF;
  RETURN 'done';
END $$;
`,
  },
  {
    number: 2,
    sql: `
-- What happened, in a chain for each replica: hash covers the hash of the row before, and the row.
CREATE TABLE rootling.audit (
  replica text NOT NULL,
  n bigint NOT NULL,
  at timestamptz NOT NULL,
  actor text NOT NULL,
  event text NOT NULL,
  facts jsonb NOT NULL,
  hash bytea NOT NULL,
  PRIMARY KEY (replica, n)
);

-- Length and text of a field, so that two rows never have the same text.
CREATE FUNCTION rootling.field(field text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT octet_length(convert_to(field, 'UTF8')) || ':' || field
$$;

-- Adds a row to the chain of a replica. Its rows follow each other until each transaction ends.
CREATE FUNCTION rootling.audit(by_replica text, by_actor text, of_event text, of_facts jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  own_n bigint := 1;
  own_hash bytea := '';
  own_at timestamptz;
BEGIN
  PERFORM pg_advisory_xact_lock(7274647, hashtext(by_replica));
  SELECT n + 1, hash INTO own_n, own_hash FROM rootling.audit
  WHERE replica = by_replica ORDER BY n DESC LIMIT 1;
  own_n := coalesce(own_n, 1);
  own_at := clock_timestamp();
  INSERT INTO rootling.audit VALUES (
    by_replica, own_n, own_at, by_actor, of_event, of_facts,
    sha256(coalesce(own_hash, '') || convert_to(
      rootling.field(by_replica) || rootling.field(own_n::text) ||
      rootling.field(to_char(own_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) ||
      rootling.field(by_actor) || rootling.field(of_event) || rootling.field(of_facts::text),
      'UTF8'))
  );
END $$;

-- The replica and the actor of this transaction; a process of the version before names neither.
CREATE FUNCTION rootling.audit(of_event text, of_facts jsonb) RETURNS void LANGUAGE sql AS $$
  SELECT rootling.audit(
    coalesce(nullif(current_setting('rootling.replica', true), ''), 'unnamed'),
    coalesce(nullif(current_setting('rootling.actor', true), ''), 'rootling'),
    of_event, of_facts
  )
$$;

CREATE OR REPLACE FUNCTION rootling.record(facts jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  own text := ltrim(facts->>'serialNumber', '0');
BEGIN
  INSERT INTO rootling.certificate (serial, fingerprint, scope, not_after, path, facts)
  VALUES (
    own, facts->>'fingerprint', facts->>'scope',
    (facts->>'notAfter')::timestamptz, facts->>'certPath', facts
  );
  -- Its revocation may have been first, as where two records are joined.
  IF EXISTS (SELECT FROM rootling.revocation r WHERE r.serial = own) THEN
    PERFORM rootling.touch('revocations ' || (facts->>'scope'));
  END IF;
  -- Last, since this waits until the row before is durable.
  PERFORM rootling.audit('issued', jsonb_build_object(
    'serial', own, 'scope', facts->'scope', 'names', facts->'identifiers'
  ));
END $$;

-- A unit of a replica that names itself. Processes of the version before call the function within.
CREATE FUNCTION rootling.commit_unit(
  unit_day int, unit_nonce bytea, unit_by bytea, looked jsonb, puts jsonb, leases jsonb,
  recording jsonb, unit_replica text, unit_actor text
) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('rootling.replica', unit_replica, true),
    set_config('rootling.actor', unit_actor, true);
  RETURN rootling.commit_unit(unit_day, unit_nonce, unit_by, looked, puts, leases, recording);
END $$;
`,
  },
  {
    number: 3,
    sql: `
-- What a unit of the ACME server needs, a Need with the limits of its lists, in one step. why: for which
-- list a row is; 'scopes' is the row with the version of the scopes. A function, since its statements are
-- planned once for each connection, and parts that are not needed do nothing.
CREATE FUNCTION rootling.read_unit(need jsonb)
RETURNS TABLE (why text, kind text, id text, version bigint, facts jsonb)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  own_account text := need->>'account';
BEGIN
  RETURN QUERY SELECT 'scopes', '', '', r.number, NULL::jsonb
      FROM rootling.revision r WHERE r.name = 'scopes'
    UNION ALL SELECT '', a.kind, a.id, a.version, a.facts
      FROM rootling.acme a WHERE a.kind = 'account' AND a.id = own_account
    UNION ALL SELECT '', k.kind, k.id, k.version, k.facts
      FROM rootling.acme k WHERE k.kind = 'eabKey' AND k.id = (
        SELECT a.facts->>'eabKeyId' FROM rootling.acme a
        WHERE a.kind = 'account' AND a.id = own_account
      );
  IF need ? 'thumbprint' THEN
    RETURN QUERY SELECT '', a.kind, a.id, a.version, a.facts
      FROM rootling.acme a WHERE a.kind = 'account' AND a.key = need->>'thumbprint';
  END IF;
  IF need ? 'eabKey' THEN
    RETURN QUERY SELECT '', a.kind, a.id, a.version, a.facts
      FROM rootling.acme a WHERE a.kind = 'eabKey' AND a.id = need->>'eabKey';
  END IF;
  IF need ? 'authorization' THEN
    RETURN QUERY SELECT '', a.kind, a.id, a.version, a.facts
      FROM rootling.acme a WHERE a.kind = 'authorization' AND a.id = need->>'authorization';
  END IF;
  IF need ? 'order' THEN
    RETURN QUERY SELECT '', a.kind, a.id, a.version, a.facts
        FROM rootling.acme a WHERE a.kind = 'order' AND a.id = need->>'order'
      UNION ALL SELECT '', a.kind, a.id, a.version, a.facts
        FROM rootling.acme a WHERE a.kind = 'authorization' AND a.id = ANY (ARRAY(
          SELECT jsonb_array_elements_text(o.facts->'authorizationIds')
          FROM rootling.acme o WHERE o.kind = 'order' AND o.id = need->>'order'
        ));
  END IF;
  IF need ? 'certificate' THEN
    RETURN QUERY SELECT '', a.kind, a.id, a.version, a.facts
      FROM rootling.acme a WHERE a.kind = 'certificate' AND a.id = need->>'certificate';
  END IF;
  IF need ? 'serialNumber' THEN
    RETURN QUERY SELECT '', a.kind, a.id, a.version, a.facts
      FROM rootling.acme a WHERE a.kind = 'certificate' AND a.key = need->>'serialNumber';
  END IF;
  IF need ? 'ordersOf' THEN
    RETURN QUERY WITH o AS (
      SELECT * FROM rootling.acme a WHERE a.kind = 'order' AND a.account = need->>'ordersOf' AND (
        NOT need ? 'ordersBefore' OR (a.created, a.id COLLATE "C") < (
          SELECT b.created, b.id FROM rootling.acme b WHERE b.kind = 'order'
            AND b.id = need->>'ordersBefore' AND b.account = need->>'ordersOf'
        )
      ) ORDER BY a.created DESC, a.id COLLATE "C" DESC LIMIT (need->>'mostOrders')::int
    )
    SELECT 'all', o.kind, o.id, o.version, o.facts FROM o
    UNION ALL SELECT '', a.kind, a.id, a.version, a.facts
      FROM rootling.acme a WHERE a.kind = 'authorization' AND a.id = ANY (ARRAY(
        SELECT jsonb_array_elements_text(o.facts->'authorizationIds') FROM o
      ));
  END IF;
  IF need ? 'unfinishedOf' THEN
    RETURN QUERY WITH o AS (
      SELECT * FROM rootling.acme a
      WHERE a.kind = 'order' AND a.open AND a.account = need->>'unfinishedOf'
      ORDER BY a.created DESC LIMIT (need->>'mostUnfinished')::int
    )
    SELECT 'unfinished', o.kind, o.id, o.version, o.facts FROM o
    UNION ALL SELECT '', a.kind, a.id, a.version, a.facts
      FROM rootling.acme a WHERE a.kind = 'authorization' AND a.id = ANY (ARRAY(
        SELECT jsonb_array_elements_text(o.facts->'authorizationIds') FROM o
      ));
  END IF;
END $$;

-- For a transaction that only uses up a nonce: should it be lost in a crash, what was read may be read
-- once more. Where there is a synchronous standby it waits all the same, since what it read may be of a
-- transaction that was ended while it waited for the standby.
CREATE FUNCTION rootling.no_need_to_wait() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('synchronous_commit',
    CASE current_setting('synchronous_standby_names') WHEN '' THEN 'off' ELSE 'on' END, true);
END $$;

-- The same for a request that changes nothing, with its nonce; no row: that was used before.
CREATE FUNCTION rootling.read_unit(
  need jsonb, unit_day int, unit_nonce bytea, unit_by bytea
) RETURNS TABLE (why text, kind text, id text, version bigint, facts jsonb)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM rootling.no_need_to_wait();
  INSERT INTO rootling.nonce VALUES (unit_day, unit_nonce, unit_by) ON CONFLICT DO NOTHING;
  -- A statement that is repeated, since its answer was lost, finds its own row.
  IF FOUND OR unit_by = (
    SELECT n.by FROM rootling.nonce n WHERE n.day = unit_day AND n.nonce = unit_nonce
  ) THEN
    RETURN QUERY SELECT * FROM rootling.read_unit(need);
  END IF;
END $$;

-- What is looked at is not locked: a unit that is committed while another one changes that came first.
-- Assignments call functions faster than PERFORM does, which plans a statement.
CREATE OR REPLACE FUNCTION rootling.commit_unit(
  unit_day int, unit_nonce bytea, unit_by bytea, looked jsonb, puts jsonb, leases jsonb,
  recording jsonb, unit_replica text, unit_actor text
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  other bytea;
  one jsonb;
  -- Whatever the role's default is: what a client is told must not be lost.
  durable text := set_config('synchronous_commit', 'on', true);
  as_replica text := set_config('rootling.replica', unit_replica, true);
  as_actor text := set_config('rootling.actor', unit_actor, true);
BEGIN
  IF puts = '[]' AND leases = '[]' THEN
    PERFORM rootling.no_need_to_wait();
  END IF;
  INSERT INTO rootling.nonce VALUES (unit_day, unit_nonce, unit_by) ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    -- An earlier attempt of this unit may have been ended while it waited for a synchronous standby. This
    -- one waits in its place, for which it has to write: a lock.
    SELECT by INTO other FROM rootling.nonce WHERE day = unit_day AND nonce = unit_nonce FOR UPDATE;
    RETURN CASE WHEN other = unit_by THEN 'done' ELSE 'replayed' END;
  END IF;
  -- A subquery for each, which is answered by the index whatever the statistics say.
  IF looked <> '[]' AND EXISTS (
    SELECT FROM jsonb_array_elements(looked) AS l WHERE (l->>2)::bigint <> coalesce(
      (SELECT a.version FROM rootling.acme a WHERE a.kind = l->>0 AND a.id = l->>1), 0)
  ) THEN
    RAISE EXCEPTION USING ERRCODE = 'RL001', MESSAGE = 'changed meanwhile';
  END IF;
  FOR one IN SELECT * FROM jsonb_array_elements(puts) LOOP
    IF (one->>'version')::bigint = 0 THEN
      INSERT INTO rootling.acme VALUES (
        one->>'kind', one->>'id', 1, one->>'account', one->>'key', (one->>'created')::bigint,
        (one->>'open')::boolean, one->'facts'
      );
    ELSE
      UPDATE rootling.acme SET version = version + 1, account = one->>'account',
        key = one->>'key', open = (one->>'open')::boolean, facts = one->'facts'
      WHERE kind = one->>'kind' AND id = one->>'id' AND version = (one->>'version')::bigint;
      IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'RL001', MESSAGE = 'changed meanwhile';
      END IF;
    END IF;
  END LOOP;
  IF leases <> '[]' THEN
    INSERT INTO rootling.lease
    SELECT l->>0, l->>1, (l->>2)::bigint FROM jsonb_array_elements(leases) AS l
    ON CONFLICT (authz, challenge) DO UPDATE SET until = excluded.until;
  END IF;
  IF recording IS NOT NULL THEN
    -- Changes take this lock alone, units together.
    PERFORM pg_advisory_xact_lock_shared(7274646, 1);
    IF (SELECT number::text FROM rootling.revision WHERE name = 'scopes')
        <> recording->>'scopesVersion' THEN
      RAISE EXCEPTION USING ERRCODE = 'RL001', MESSAGE = 'the scopes have changed';
    END IF;
    PERFORM rootling.record(recording->'certificate');
  END IF;
  RETURN 'done';
END $$;
-- Room for the next version of a row on its page.
ALTER TABLE rootling.acme SET (fillfactor = 70);

-- Adds a row to one of the eight chains of a replica: the next row of a chain waits until the
-- transaction of this one is durable. The first chain has the name of the replica, the others end in
-- a number, such as /1.
CREATE OR REPLACE FUNCTION rootling.audit(
  by_replica text, by_actor text, of_event text, of_facts jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  chain text := by_replica;
  own_n bigint;
  own_hash bytea;
  own_at timestamptz;
  field text;
  own_text text := '';
BEGIN
  FOR i IN 1..8 LOOP
    EXIT WHEN pg_try_advisory_xact_lock(7274647, hashtext(chain));
    IF i = 8 THEN
      PERFORM pg_advisory_xact_lock(7274647, hashtext(chain));
    ELSE
      chain := by_replica || '/' || i;
    END IF;
  END LOOP;
  SELECT n, hash INTO own_n, own_hash FROM rootling.audit
  WHERE replica = chain ORDER BY n DESC LIMIT 1;
  own_n := coalesce(own_n, 0) + 1;
  own_at := clock_timestamp();
  -- Length and text of each field, as in rootling.field.
  FOREACH field IN ARRAY ARRAY[
    chain, own_n::text, to_char(own_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    by_actor, of_event, of_facts::text
  ] LOOP
    own_text := own_text || octet_length(convert_to(field, 'UTF8')) || ':' || field;
  END LOOP;
  INSERT INTO rootling.audit VALUES (
    chain, own_n, own_at, by_actor, of_event, of_facts,
    sha256(coalesce(own_hash, '') || convert_to(own_text, 'UTF8'))
  );
END $$;
`,
  },
  {
    number: 4,
    sql: `
-- When the newest CRL was made. Its number is at least the seconds at which it was.
ALTER TABLE rootling.crl_number ADD COLUMN made timestamptz NOT NULL DEFAULT now();
UPDATE rootling.crl_number SET made = least(now(), to_timestamp(number));

-- The newest certificate for the same names or in the same file, so that the certificates which are
-- due are counted without reading all. Those that have expired are deleted.
CREATE TABLE rootling.newest (
  holder bytea PRIMARY KEY,
  n bigint NOT NULL,
  serial text NOT NULL,
  due timestamptz NOT NULL,
  not_after timestamptz NOT NULL
);
CREATE INDEX newest_due ON rootling.newest (due);

CREATE FUNCTION rootling.as_newest(c rootling.certificate) RETURNS rootling.newest
LANGUAGE sql STABLE AS $$
  SELECT ROW(
    sha256(convert_to(concat_ws(E'\\n', c.scope, c.facts->>'purpose', coalesce(c.path, (
      SELECT string_agg(one::text, E'\\n' ORDER BY one::text COLLATE "C")
      FROM jsonb_array_elements(c.facts->'identifiers') AS one
    ))), 'UTF8')),
    c.n, c.serial,
    -- After two thirds of its lifetime.
    to_timestamp((extract(epoch FROM (c.facts->>'notBefore')::timestamptz)
      + 2 * extract(epoch FROM c.not_after)) / 3),
    c.not_after
  )::rootling.newest
$$;

-- How far certificates are noted there. All up to noted_n are; those after it up to seen_n too, but of
-- transactions before seen_xid that were still running there may come more.
CREATE TABLE rootling.newest_until (
  noted_n bigint NOT NULL,
  seen_n bigint NOT NULL,
  seen_xid xid8 NOT NULL
);
INSERT INTO rootling.newest_until VALUES (0, 0, '0');

-- Notes the next certificates, at most 5,000, and says whether there may be more. Whoever wants to read
-- the table calls it first, so that issuing a certificate need not wait for it.
CREATE FUNCTION rootling.note_newest() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  most int := 5000;
  before rootling.newest_until;
  ended xid8 := pg_snapshot_xmin(pg_current_snapshot());
  last_n bigint;
  count int;
BEGIN
  SELECT * INTO before FROM rootling.newest_until FOR UPDATE;
  SELECT coalesce(max(n), before.seen_n), count(*) INTO last_n, count FROM (
    SELECT n FROM rootling.certificate WHERE n > before.seen_n ORDER BY n LIMIT most
  ) AS page;
  IF last_n = before.noted_n THEN
    RETURN false;
  END IF;
  INSERT INTO rootling.newest AS w
  SELECT DISTINCT ON (own.holder) own.*
  FROM rootling.certificate c, LATERAL rootling.as_newest(c) AS own
  WHERE c.n > before.noted_n AND c.n <= last_n
  ORDER BY own.holder, own.n DESC
  ON CONFLICT (holder) DO UPDATE SET n = excluded.n, serial = excluded.serial,
    due = excluded.due, not_after = excluded.not_after
  WHERE w.n < excluded.n;
  -- A certificate has its number after its transaction has its own: all that may still come with a
  -- number up to last_n are of transactions that have begun by now.
  IF ended >= before.seen_xid THEN
    UPDATE rootling.newest_until SET noted_n = before.seen_n, seen_n = last_n,
      seen_xid = pg_snapshot_xmax(pg_current_snapshot());
  END IF;
  RETURN count = most;
END $$;
`,
  },
  {
    number: 5,
    sql: `
-- The audit, a partition for each month (of UTC), so that old months are dropped whole. What was
-- written until now is one partition, named for its last month.
ALTER TABLE rootling.audit RENAME TO audit_default;
ALTER TABLE rootling.audit_default DROP CONSTRAINT audit_pkey;
CREATE TABLE rootling.audit (
  replica text NOT NULL,
  n bigint NOT NULL,
  at timestamptz NOT NULL,
  actor text NOT NULL,
  event text NOT NULL,
  facts jsonb NOT NULL,
  hash bytea NOT NULL,
  PRIMARY KEY (replica, n, at)
) PARTITION BY RANGE (at);
-- Who could read it still can.
DO $$
DECLARE
  reader name;
BEGIN
  FOR reader IN
    SELECT r.rolname FROM pg_class c, aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
    WHERE c.oid = 'rootling.audit_default'::regclass AND a.privilege_type = 'SELECT'
      AND a.grantee <> c.relowner
  LOOP
    EXECUTE format('REVOKE ALL ON rootling.audit_default FROM %I', reader);
    EXECUTE format('GRANT SELECT ON rootling.audit TO %I', reader);
  END LOOP;
END $$;
DO $$
DECLARE
  last date := date_trunc('month', greatest(
    (SELECT max(at) FROM rootling.audit_default), now()) AT TIME ZONE 'UTC');
  name text := to_char(last, '"audit_"YYYY_MM');
BEGIN
  EXECUTE format('ALTER TABLE rootling.audit_default RENAME TO %I', name);
  EXECUTE format(
    'ALTER TABLE rootling.audit ATTACH PARTITION rootling.%I FOR VALUES FROM (MINVALUE) TO (%L)',
    name, (last + '1 month'::interval)::timestamp AT TIME ZONE 'UTC');
END $$;
-- Where a month lacks its partition, nothing fails.
CREATE TABLE rootling.audit_default PARTITION OF rootling.audit DEFAULT;

-- Where the chain of a replica begins whose older rows were dropped: n and hash of the last of them.
CREATE TABLE rootling.audit_start (
  replica text PRIMARY KEY,
  n bigint NOT NULL,
  hash bytea NOT NULL
);

-- Makes the partitions of this month and the next two, and of what is in the default one. Anybody who
-- serves may call it. Where something else reads the audit, such as a dump, it leaves that for later
-- and returns false: a longer wait would keep the servers from writing.
CREATE FUNCTION rootling.prepare_audit() RETURNS boolean LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s'
AS $$
DECLARE
  month timestamptz;
  name text;
BEGIN
  -- Before the table is read: of two that read it, none could lock it.
  PERFORM pg_advisory_xact_lock(7274646, 3);
  FOR month IN
    SELECT date_trunc('month', now()) + i * '1 month'::interval FROM generate_series(0, 2) AS i
    UNION SELECT date_trunc('month', at) FROM rootling.audit_default
    ORDER BY 1
  LOOP
    name := to_char(month, '"audit_"YYYY_MM');
    CONTINUE WHEN to_regclass('rootling.' || name) IS NOT NULL;
    LOCK TABLE rootling.audit_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE rootling.%I (LIKE rootling.audit)', name);
    EXECUTE format(
      'WITH moved AS (DELETE FROM rootling.audit_default WHERE at >= %L AND at < %L RETURNING *)
       INSERT INTO rootling.%I SELECT * FROM moved',
      month, month + '1 month'::interval, name);
    EXECUTE format(
      'ALTER TABLE rootling.audit ATTACH PARTITION rootling.%I FOR VALUES FROM (%L) TO (%L)',
      name, month, month + '1 month'::interval);
  END LOOP;
  RETURN true;
EXCEPTION WHEN lock_not_available THEN
  RETURN false;
END $$;
SELECT rootling.prepare_audit();

-- Whoever serves writes the audit by this function alone.
ALTER FUNCTION rootling.audit(text, text, text, jsonb)
SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
`,
  },
  {
    number: 6,
    sql: `
-- Whoever serves records certificates by this function alone, which writes the audit too.
ALTER FUNCTION rootling.record(jsonb)
SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
`,
  },
  {
    number: 7,
    sql: `
-- For the accounts that are forgotten.
CREATE INDEX acme_accounts ON rootling.acme (created) WHERE kind = 'account';
`,
  },
]
