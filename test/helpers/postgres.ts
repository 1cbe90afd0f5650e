import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { openDatabase, type Database } from '../../src/storage/postgres/database.ts'
import { migrate } from '../../src/storage/postgres/migrate.ts'
import { freePort } from './free-port.ts'
import { scrubbedEnvironment } from './scrubbed.ts'
import { run, start, terminate, waitFor } from './subprocess.ts'

/** The programs of the newest PostgreSQL; Debian has a directory for each version. */
function findPostgres(): string {
  const above = '/usr/lib/postgresql'
  const versions = existsSync(above) ? readdirSync(above) : []
  const [newest = '15'] = versions
    .filter((version) => existsSync(join(above, version, 'bin/initdb')))
    .toSorted((a, b) => Number(b) - Number(a))
  return join(above, newest, 'bin')
}
export const postgresPrograms = findPostgres()

/** How setpriv runs a program as the user nobody where this process is root, whom PostgreSQL refuses. */
export const asNobody = (): readonly string[] =>
  process.getuid?.() === 0 ? ['--reuid=65534', '--regid=65534', '--clear-groups'] : []

/** A PostgreSQL of its own, which listens on loopback and on a socket in its directory. */
interface PostgresServer {
  /** Creates a database, as a copy of `template` if one is given, and returns its URL. */
  createDatabase(template?: string): Promise<string>
  /** Runs statements as the superuser. */
  psql(url: string, sql: string): Promise<string>
  /** Stops the server and starts it again; `immediate`: as a crash would. */
  stop(how: 'fast' | 'immediate'): Promise<void>
  start(): Promise<void>
  close(): Promise<void>
}

async function openPostgresServer(): Promise<PostgresServer> {
  const directory = await mkdtemp(join(tmpdir(), 'rootling-postgres-'))
  const env = scrubbedEnvironment(directory)
  const user = asNobody()
  const data = join(directory, 'data')
  const must = async (program: string, ...args: string[]): Promise<string> => {
    const ran = await run('setpriv', [...user, program, ...args], env)
    if (ran.exitCode !== 0) throw new Error(`${program}: ${ran.stdout}${ran.stderr}`)
    return ran.stdout
  }
  const programOf = (name: string): string => join(postgresPrograms, name)
  if (user.length > 0) await run('chown', ['65534:65534', directory], env)
  await must(
    programOf('initdb'),
    ...['-D', data, '-U', 'postgres', '--auth=trust', '--no-sync', '--no-locale', '-E', 'UTF8'],
  )
  const port = await freePort()
  const urlOf = (name: string): string => `postgres://postgres@127.0.0.1:${port}/${name}`
  const psql = (url: string, sql: string): Promise<string> =>
    must(programOf('psql'), '-qAtX', '-v', 'ON_ERROR_STOP=1', '-c', sql, url)
  let child: ReturnType<typeof start> | null = null

  async function begin(): Promise<void> {
    const line = ['-D', data, '-p', String(port), '-k', directory]
    const settings = ['listen_addresses=127.0.0.1', 'fsync=off', 'max_connections=60']
    const all = [...user, programOf('postgres'), ...line, ...settings.flatMap((one) => ['-c', one])]
    const started = start('setpriv', all, env)
    let log = ''
    started.stderr.on('data', (chunk) => (log += String(chunk)))
    started.stdout.resume()
    child = started
    await waitFor('PostgreSQL', async () => {
      if (started.exitCode !== null) throw new Error(`PostgreSQL ended: ${log}`)
      return psql(urlOf('postgres'), 'select 1').then(
        () => true,
        () => null,
      )
    })
  }
  await begin()
  return {
    async createDatabase(template) {
      const name = `t${randomBytes(6).toString('hex')}`
      const of = template === undefined ? '' : ` template ${template.split('/').at(-1)}`
      await psql(urlOf('postgres'), `create database ${name}${of}`)
      return urlOf(name)
    },
    psql,
    async stop(how) {
      await must(programOf('pg_ctl'), 'stop', '-D', data, '-m', how)
      child = null
    },
    start: begin,
    async close() {
      if (child !== null) await terminate(child)
      await rm(directory, { recursive: true, force: true })
    },
  }
}

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
