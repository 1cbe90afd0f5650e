import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { openDatabase, type Database } from '../../src/storage/postgres/database.ts'
import { migrate } from '../../src/storage/postgres/migrate.ts'
import { freePort } from './free-port.ts'
import { asNobody, openPostgresServer, type PostgresServer } from './postgres-server.ts'
import { scrubbedEnvironment } from './scrubbed.ts'
import { run, start, terminate, waitFor } from './subprocess.ts'

/** A PostgreSQL for the tests of one file. */
export interface Databases {
  readonly server: PostgresServer
  /** Creates a database with our schema, and returns its URL. */
  create(): Promise<string>
  /** Opens one until the test ends. It is waited for long, since this machine may be busy. */
  open(url: string): Database
}

export function usePostgres(): Databases {
  let server: PostgresServer
  let template: string
  beforeAll(async () => {
    server = await openPostgresServer()
    template = await server.createDatabase()
    const database = openDatabase({ url: template })
    await migrate(database)
    await database.close()
  })
  afterAll(() => server.close())
  return {
    get server() {
      return server
    },
    create: () => server.createDatabase(template),
    open(url) {
      const database = openDatabase({ url, patience: 300_000 })
      onTestFinished(() => database.close())
      return database
    },
  }
}

/**
 * Starts a PgBouncer in transaction mode before a server; returns its port. It ends with the test. Beside the
 * superuser, it lets some roles in.
 */
export async function startPgBouncer(
  server: Pick<PostgresServer, 'port' | 'psql'>,
  roles: readonly string[] = [],
): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'rootling-pgbouncer-'))
  const env = scrubbedEnvironment(directory)
  const port = await freePort()
  const settings = join(directory, 'pgbouncer.ini')
  const users = ['postgres', ...roles].map((role) => `"${role}" ""\n`)
  await writeFile(join(directory, 'users'), users.join(''))
  await writeFile(
    settings,
    `[databases]
* = host=127.0.0.1 port=${server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${directory}/users
pool_mode = transaction
default_pool_size = 3
server_login_retry = 1
`,
  )
  const user = asNobody()
  if (user.length > 0) await run('chown', ['-R', '65534:65534', directory], env)
  const child = start('setpriv', [...user, '/usr/sbin/pgbouncer', settings], env)
  let log = ''
  child.stderr.on('data', (chunk) => (log += String(chunk)))
  child.stdout.resume()
  onTestFinished(async () => {
    await terminate(child)
    await rm(directory, { recursive: true, force: true })
  })
  await waitFor('PgBouncer', async () => {
    if (child.exitCode !== null) throw new Error(`PgBouncer ended: ${log}`)
    return server.psql(`postgres://postgres@127.0.0.1:${port}/postgres`, 'select 1').then(
      () => true,
      () => null,
    )
  })
  return port
}
