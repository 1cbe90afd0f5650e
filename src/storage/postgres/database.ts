import { AsyncLocalStorage } from 'node:async_hooks'
import { createHash, randomBytes } from 'node:crypto'
import { Pool, type PoolClient, type QueryResult } from 'pg'
import { RootlingError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import { readDatabaseUrl } from './database-url.ts'
import { createRecentVersion, type RecentVersion } from './recent-version.ts'

/** A database of PostgreSQL 13 or later, and the connections to it. */
export interface Database {
  /** For sentences: the database without its password. */
  readonly place: string
  /** The name under which this process writes the audit. */
  readonly replica: string
  /**
   * Runs one statement that may be repeated: where a connection is lost, nobody knows whether it was
   * done. Within `transaction` it is part of that. Throws `database-away`.
   */
  query(text: string, values?: readonly unknown[]): Promise<readonly Row[]>
  /**
   * Does what `query` does, for a statement that runs for each request: each connection parses and plans
   * it once, where something between lets it. Not within `transaction`.
   */
  queryOften(text: string, values: readonly unknown[]): Promise<readonly Row[]>
  /**
   * Runs work in a transaction that is durable once it ends, also on the synchronous standbys.
   * Throws what the work throws, and then nothing has happened, and `database-away`, and then nothing
   * has happened unless the connection was lost at the end of one that is not marked. To be marked, it
   * needs our schema.
   */
  transaction<T>(work: () => Promise<T>, options?: { readonly isMarked?: boolean }): Promise<T>
  readonly scopesVersion: RecentVersion
  /** The connections that are open, those of them that do nothing, and how much work waits for one. */
  pool(): { readonly total: number; readonly idle: number; readonly waiting: number }
  close(): Promise<void>
}

/** A row; the caller knows its columns from the statement. */
export type Row = Readonly<Record<string, unknown>>

export interface DatabaseOptions {
  /** `postgres://USER@HOST:PORT/DATABASE`. A password is better given by PGPASSFILE. */
  readonly url: string
  /** The name under which this process writes the audit, such as a host's; default: `rootling`. */
  readonly replica?: string
  /**
   * The most connections; default: 4. With more, PostgreSQL's processes push each other out of the caches
   * of the processors.
   */
  readonly most?: number
  /** Milliseconds to wait for a database that is away, or says nothing; default: 10,000. */
  readonly patience?: number
}

/** Opens a database. It is connected to when it is first asked. Throws `usage` for a URL that is none. */
export function openDatabase({
  url,
  replica = 'rootling',
  most = 4,
  patience = 10_000,
}: DatabaseOptions): Database {
  const place = placeOf(url)
  const pool = new Pool({
    connectionString: url,
    max: most,
    connectionTimeoutMillis: Math.min(patience, 5_000),
    application_name: 'rootling',
  })
  // The next statement on a connection that was lost meanwhile says so; a pool opens others.
  pool.on('error', () => undefined)
  pool.on('connect', (client) => client.on('error', () => undefined))
  const current = new AsyncLocalStorage<{ client: PoolClient; longest: number }>()
  let running = 0
  /** Runs work within a transaction. While none runs, Node need not follow every promise for us. */
  async function runWithin<T>(
    client: PoolClient,
    longest: number,
    work: () => Promise<T>,
  ): Promise<T> {
    running++
    try {
      return await current.run({ client, longest }, work)
    } finally {
      running--
      if (running === 0) current.disable()
    }
  }
  // A machine that has lost its power says nothing: half of the patience leaves time to ask another
  // one. 0 waits for ever.
  const half = patience / 2
  const limited = (text: string, values: readonly unknown[] = [], longest: number = half) => ({
    text,
    values: [...values],
    query_timeout: longest,
  })

  let canPrepare = true
  const names = new Map<string, string>()
  /** The name tells the text, so that processes that share connections never mean another statement. */
  function nameOf(text: string): string {
    const name =
      names.get(text) ?? `rootling_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`
    names.set(text, name)
    return name
  }

  /** Tries again while the database is away, but no longer than `patience`. */
  async function persist<T>(attempt: () => Promise<T>): Promise<T> {
    const end = performance.now() + patience
    for (let wait = 20; ; wait = Math.min(wait * 2, 1_000))
      try {
        return await attempt()
      } catch (error) {
        if (isRefused(error)) throw refused(place, error)
        if (!isAway(error)) throw error
        if (performance.now() + wait > end) throw away(place, error)
        await new Promise((resolve) => setTimeout(resolve, wait))
      }
  }

  async function begin(client: PoolClient, mark: string | null): Promise<void> {
    // Several statements in one message.
    const text = `BEGIN; SELECT set_config('synchronous_commit', 'on', true), set_config('rootling.replica', ${client.escapeLiteral(replica)}, true)${
      mark === null ? '' : `; INSERT INTO rootling.nonce VALUES (${mark}, 'done')`
    }`
    await client.query(limited(text))
  }

  /**
   * Finds out by a new connection whether a transaction happened whose connection was lost: it left its
   * mark, or it waits for us, or it never will happen. PostgreSQL's own number of the transaction would
   * not tell, since another one has it after a crash or a failover.
   */
  const hasHappened = (mark: string): Promise<boolean> =>
    persist(async () => {
      // The lock is written, so that this waits for a synchronous standby to have the mark too.
      const text = `SELECT set_config('lock_timeout', '2s', true), set_config('synchronous_commit', 'on', true);
         INSERT INTO rootling.nonce VALUES (${mark}, 'none') ON CONFLICT DO NOTHING;
         SELECT by FROM rootling.nonce WHERE (day, nonce) = (${mark}) FOR UPDATE`
      const results = (await pool.query(limited(text))) as unknown as readonly QueryResult<{
        by: Buffer
      }>[]
      return results.at(-1)?.rows[0]?.by.toString() === 'done'
    })

  return {
    place,
    replica,
    scopesVersion: createRecentVersion(),
    async query(text, values = []) {
      const { client, longest } = current.getStore() ?? {}
      if (client !== undefined)
        return (await client.query<Row>(limited(text, values, longest))).rows
      return persist(async () => (await pool.query<Row>(limited(text, values))).rows)
    },
    async queryOften(text, values) {
      const prepared = () => pool.query<Row>({ ...limited(text, values), name: nameOf(text) })
      if (canPrepare)
        try {
          return (await persist(prepared)).rows
        } catch (error) {
          if (!isNotPrepared(error)) throw error
          canPrepare = false
        }
      return persist(async () => (await pool.query<Row>(limited(text, values))).rows)
    },
    async transaction(work, { isMarked = true } = {}) {
      if (current.getStore() !== undefined) return work()
      const mark = isMarked ? newMark() : null
      const client = await persist(async () => {
        const opened = await pool.connect()
        try {
          await begin(opened, mark)
          return opened
        } catch (error) {
          opened.release(true)
          throw error
        }
      })
      let result: Awaited<ReturnType<typeof work>>
      try {
        // The schema may take long to change; other work is done in a moment, or waits for other work.
        const longest = isMarked ? patience : 0
        result = await runWithin(client, longest, work)
      } catch (error) {
        // A connection that does not answer is closed, which ends the transaction too.
        const isEnded =
          !isAway(error) &&
          (await client.query(limited('ROLLBACK')).then(
            () => true,
            () => false,
          ))
        client.release(!isEnded)
        throw isAway(error) ? away(place, error) : error
      }
      try {
        const { command } = await client.query(limited('COMMIT'))
        client.release()
        // PostgreSQL rolls back without an error where a statement failed whose error was not thrown on.
        if (command !== 'COMMIT') throw new Error('A statement of the transaction had failed.')
      } catch (error) {
        if (!isAway(error)) throw error
        client.release(true)
        if (mark === null || !(await hasHappened(mark))) throw away(place, error)
      }
      return result
    },
    pool: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close: () => pool.end(),
  }
}

/** The day and the name of a transaction, as in the table of used nonces, where old ones are deleted. */
const newMark = (): string =>
  `${Math.floor(Date.now() / 86_400_000)}, '\\x${randomBytes(16).toString('hex')}'::bytea`

/**
 * The SQLSTATEs, or the codes of Node, of a database that cannot be reached, is starting, stopping or
 * only a standby, or has ended this session or statement for the sake of others, or since it was idle.
 */
const awayCodes =
  /^(?:08\w{3}|57P0[1-5]|57014|53300|40001|40P01|55P03|25006|ECONN\w+|EPIPE|ENOENT|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/

/** Whether it would perhaps go well a moment later, or through another connection. */
function isAway(error: unknown): boolean {
  const { code, message = '' } = error as { code?: unknown; message?: string }
  if (typeof code === 'string') return awayCodes.test(code)
  return /^(?:Connection terminated|Query read timeout|timeout exceeded when trying to connect|Client has encountered a connection error)/.test(
    message,
  )
}

/**
 * Whether a prepared statement was not there, was there already, or returns other columns since the schema
 * changed: it did nothing. PgBouncer with `pool_mode=transaction` gives each transaction any connection
 * to PostgreSQL, and only since version 1.21 prepares statements there too, where
 * `max_prepared_statements` lets it.
 */
function isNotPrepared(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  return code === '26000' || code === '42P05' || code === '0A000'
}

const away = (place: string, cause: unknown): RootlingError =>
  new RootlingError('database-away', `The database ${place} does not answer: ${reasonOf(cause)}.`, {
    hint: 'See that PostgreSQL runs there, and what its log says',
    cause,
  })

/** No such role or password, none that pg_hba.conf lets in, no such database, a TLS that fails. */
const refusedCodes =
  /^(?:28\w{3}|3D000|EACCES|EISDIR|CERT_\w+|DEPTH_ZERO_\w+|SELF_SIGNED_\w+|UNABLE_TO_\w+|HOSTNAME_MISMATCH|ERR_TLS_\w+|ERR_SSL_\w+|ERR_OSSL_\w+)$/

/** Whether no connection will be had until somebody changes the URL, a password or the database. */
function isRefused(error: unknown): boolean {
  const { code, syscall, message } = error as NodeJS.ErrnoException
  // A file that the URL names, not the socket of a server that is not there yet.
  if (code === 'ENOENT') return syscall === 'open'
  if (typeof code === 'string') return refusedCodes.test(code)
  return /^(?:SASL: |SCRAM|The server does not support SSL connections)/.test(message)
}

/** What the system or PostgreSQL says holds no password. */
const refused = (place: string, cause: unknown): RootlingError =>
  new RootlingError('connect-failed', `${place} cannot be opened: ${reasonOf(cause)}.`, {
    hint:
      (cause as NodeJS.ErrnoException).code === '3D000'
        ? 'Create it first, as by: createdb NAME'
        : 'See that its role, its password (PGPASSFILE), the options in its URL and pg_hba.conf are right',
    cause,
  })

/** What the system or PostgreSQL says, without the dot at its end. Neither ever says a password. */
function reasonOf(cause: unknown): string {
  const { message, code } = cause as NodeJS.ErrnoException
  return printable((message || code || 'it says nothing').slice(0, 200)).replace(/\.$/, '')
}

/**
 * Returns the URL of a database without password and options. Throws `usage` for what is none, and where
 * `/`, `?` or `#` in a password ends the host, so that the user would be the host and the password shown.
 */
function placeOf(text: string): string {
  const read = readDatabaseUrl(text)
  const { protocol, username, port, pathname, search, hash } = read?.url ?? new URL('postgres:')
  // An @ in the options may be one of theirs.
  const behind = pathname === '' && port !== '' ? search + hash : pathname + hash
  if (namesSeveralHosts(text))
    throw new RootlingError('usage', 'The URL of the database names several hosts.', {
      hint: 'Name one that leads to the primary: a name that follows it, HAProxy, or PgBouncer',
    })
  // The error of URL would hold the password.
  if (read === null || !/^postgres(?:ql)?:$/.test(protocol) || behind.includes('@'))
    throw new RootlingError('usage', 'The URL of the database cannot be read.', {
      hint: 'It looks like postgres://USER@HOST/DATABASE; in a password / is %2F, ? is %3F, # is %23',
    })
  const host = read.host === '' ? '' : read.url.host
  return `${protocol}//${username === '' ? '' : `${username}@`}${host}${pathname}`
}

/** Whether several hosts are named, as libpq takes them and pg does not. */
function namesSeveralHosts(text: string): boolean {
  const authority = /^[^:]*:\/\/(?:[^/?#]*@)?([^/?#]*)/.exec(text)?.[1] ?? ''
  return authority.includes(',') || /[?&]host=[^&#]*(?:,|%2c)/i.test(text)
}

/**
 * Returns a value as JSON for a column of jsonb, which holds no NUL and no half of a surrogate pair:
 * text of strangers gets U+FFFD in their place.
 */
export function toJsonb(value: unknown): string {
  const text = JSON.stringify(value)
  // JSON escapes both, so that a text without such an escape has neither.
  if (!/\\u(?:0000|d[89a-f])/.test(text)) return text
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === 'string' ? each.replace(/[\0\p{Cs}]/gu, '\uFFFD') : each,
  )
}
