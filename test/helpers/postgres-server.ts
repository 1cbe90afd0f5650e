import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
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
export interface PostgresServer {
  /** Creates a database, as a copy of `template` if one is given, and returns its URL. */
  createDatabase(template?: string): Promise<string>
  readonly port: number
  /** The directory of its Unix socket. */
  readonly socket: string
  /** Runs statements as the superuser. */
  psql(url: string, sql: string): Promise<string>
  /** Runs a program of PostgreSQL, and returns what it prints. */
  program(name: string, ...args: string[]): Promise<string>
  /** Starts a synchronous standby of this server. */
  addStandby(): Promise<PostgresServer>
  /** Stops the server and starts it again; `immediate`: as a crash would. */
  stop(how: 'fast' | 'immediate'): Promise<void>
  start(): Promise<void>
  close(): Promise<void>
}

export interface PostgresOptions {
  /** The port of the server whose standby this is; default: it is none. */
  readonly primary?: number
  /** Whether it waits for the disk; default: no, since tests stop it only as a crash of it would. */
  readonly fsync?: boolean
}

export async function openPostgresServer({
  primary,
  fsync = false,
}: PostgresOptions = {}): Promise<PostgresServer> {
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
  // The first of a test run is copied for the others: initdb takes more than a second of the processor.
  const files = process.env['ROOTLING_TEST_FILES']
  const kept = files === undefined ? null : join(files, 'postgres')
  if (primary === undefined && kept !== null && existsSync(kept)) await must('cp', '-a', kept, data)
  else if (primary === undefined) {
    await must(
      programOf('initdb'),
      ...['-D', data, '-U', 'postgres', '--auth=trust', '--no-sync', '--no-locale', '-E', 'UTF8'],
    )
    if (kept !== null) {
      const copy = `${kept}-${basename(directory)}`
      await must('cp', '-a', data, copy)
      // Where another process was faster, its copy stays.
      await rename(copy, kept).catch(() => rm(copy, { recursive: true }))
    }
  } else
    await must(
      programOf('pg_basebackup'),
      ...['-D', data, '-U', 'postgres', '-h', '127.0.0.1', '-p', String(primary)],
      ...['-R', '--no-sync', '-c', 'fast'],
    )
  const port = await freePort()
  const urlOf = (name: string): string => `postgres://postgres@127.0.0.1:${port}/${name}`
  const psql = (url: string, sql: string): Promise<string> =>
    must(programOf('psql'), '-qAtX', '-v', 'ON_ERROR_STOP=1', '-c', sql, url)
  let child: ReturnType<typeof start> | null = null

  async function begin(): Promise<void> {
    const line = ['-D', data, '-p', String(port), '-k', directory]
    const settings = [
      'listen_addresses=127.0.0.1',
      fsync ? 'fsync=on' : 'fsync=off',
      'max_connections=60',
    ]
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
    port,
    socket: directory,
    psql,
    program: (name, ...args) => must(programOf(name), ...args),
    async addStandby() {
      const standby = await openPostgresServer({ primary: port })
      const url = urlOf('postgres')
      await psql(url, "alter system set synchronous_standby_names = '*'")
      await psql(url, 'select pg_reload_conf()')
      await waitFor('the standby', async () =>
        (await psql(url, 'select sync_state from pg_stat_replication')) === 'sync\n' ? true : null,
      )
      return standby
    },
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
