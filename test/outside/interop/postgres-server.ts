import { appendFile, cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { freePort } from '../../helpers/free-port.ts'
import { asNobody, postgresPrograms } from '../../helpers/postgres-server.ts'
import { run, waitFor } from '../../helpers/subprocess.ts'
import { missing, recipe, type InteropWorld, type PairFiles } from './interop-world.ts'
import {
  asking,
  filled,
  ownDirectory,
  startServer,
  type Read,
  type Running,
} from './server-process.ts'

/**
 * PostgreSQL, as the user nobody where this process is root, since it refuses root. `database`:
 * `postgres`, where users are known by their common name, or `template1`: by the whole subject. `revocations`: it refuses revoked clients.
 */
export async function openPostgres(
  world: InteropWorld,
  ca: string,
  database: 'postgres' | 'template1' = 'postgres',
  revocations = false,
): Promise<Running> {
  const port = await freePort()
  const directory = await ownDirectory()
  const [settings = '', byName = '', bySubject = '', subjects = '', psql = '', lists = ''] =
    recipe('PostgreSQL')
  await cp(join(world.home, 'tls'), join(directory, 'tls'), { recursive: true })
  const data = join(directory, 'data')
  await mkdir(data, { mode: 0o700 })
  const user = asNobody()
  if (user.length > 0) await run('chown', ['-R', '65534:65534', directory], world.env)
  const must = async (program: string, args: string[]): Promise<void> => {
    const ran = await run('setpriv', [...user, program, ...args], world.env)
    if (ran.exitCode !== 0) throw new Error(`${program}: ${ran.stdout}${ran.stderr}`)
  }
  await must(join(postgresPrograms, 'initdb'), [
    ...['-D', data, '-U', 'postgres', '--auth=trust', '--no-sync', '--no-locale'],
  ])
  await appendFile(
    join(data, 'postgresql.conf'),
    filled(settings + (revocations ? lists : ''), directory, port, ca),
  )
  const rules = [
    'local all postgres trust\n',
    byName.replace(' all all ', ' postgres all '),
    bySubject.replace(' all all ', ' template1 all '),
  ]
  await writeFile(join(data, 'pg_hba.conf'), rules.join(''))
  await writeFile(join(data, 'pg_ident.conf'), subjects)
  const line = ['-D', data, '-p', String(port), '-k', directory, '-c', 'listen_addresses=127.0.0.1']
  const server = [join(postgresPrograms, 'postgres'), ...line, '-c', 'fsync=off']
  const { child, log } = startServer('setpriv', [...user, ...server], world)
  const roles = 'create role alice login; create role "alice@example.test" login'
  const admin = ['-h', directory, '-p', String(port), '-U', 'postgres', '-c', roles]
  await waitFor('PostgreSQL', async () => {
    if (child.exitCode !== null) throw new Error(`PostgreSQL ended: ${log()}`)
    return (await run('psql', admin, world.env)).exitCode === 0 ? true : null
  })
  const ask = async (client: PairFiles | null): Promise<Read> => {
    const none = { cert: join(directory, 'none.pem'), key: join(directory, 'none-key.pem') }
    const { cert, key } = client ?? none
    const subject = client === null ? '' : new X509Certificate(await readFile(cert)).subject
    const name = /CN=(alice.*)/.exec(subject)?.[1] ?? 'alice'
    const script = filled(psql, world.home, port, ca)
      .replace('user=alice', `user=${name}`)
      .replace('dbname=postgres', `dbname=${database}`)
      .replace('$HOME/tls/alice@example.test-client.pem', cert)
      .replace('$HOME/tls/alice@example.test-client-key.pem', key)
    const { exitCode, stdout, stderr } = await world.bash(script)
    return exitCode === 0 ? { read: stdout } : { read: '', error: stderr }
  }
  return asking(ask, log)
}

export const noPostgres = missing(join(postgresPrograms, 'postgres')) ?? missing('/usr/bin/psql')
