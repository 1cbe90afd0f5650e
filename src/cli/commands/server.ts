import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AcmeLimits } from '../../acme/limits.ts'
import { isLoopback } from '../../acme/validation/addresses.ts'
import { limitGarbage } from '../../daemon/garbage.ts'
import { RootlingError } from '../../errors.ts'
import { watchAddresses } from '../../replica/database-addresses.ts'
import { foundAuthority } from '../../replica/found.ts'
import { readAdministrators } from '../../replica/administrators.ts'
import { readServerUrl, startReplica, type ReplicaOptions } from '../../replica/replica.ts'
import { watchKeys } from '../../replica/watch-keys.ts'
import { openDatabase, type Database } from '../../storage/postgres/database.ts'
import { readDatabaseUrl } from '../../storage/postgres/database-url.ts'
import { migrate } from '../../storage/postgres/migrate.ts'
import { grantServing } from '../../storage/postgres/roles.ts'
import { standbyWarning } from '../../storage/postgres/standby.ts'
import { postgresStorage } from '../../storage/postgres/storage.ts'
import { fingerprintOf, fingerprintText } from '../../x509/parsed-certificate.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { untilText } from '../describe.ts'
import { exposure, listeningAs, parseHost, parsePort, stopSignal } from '../listening.ts'
import { serverRunSpec, type serverInitSpec, type serverMigrateSpec } from '../specs/team.ts'
import { namedPassphrase, openKeys } from '../server-keys.ts'
import { serverSocket } from '../server-socket.ts'

type RunArguments = ArgumentsOf<typeof serverRunSpec>

/** `rootling server`: serves ACME for a team until SIGINT or SIGTERM. */
export async function serverRun(args: RunArguments, context: Context): Promise<ExitCode> {
  const { output, now, env } = context
  const { url: given, drain = 5 } = args
  if (drain < 0 || drain > 3_600)
    throw new RootlingError('usage', `--drain ${drain} is not between 0 and 3600 seconds.`, {
      hint: '--drain 5',
    })
  if (given === undefined)
    throw new RootlingError('usage', 'The server needs the URL by which clients reach it.', {
      hint: '--url https://ca.team.internal',
    })
  const url = readServerUrl(given)
  const host = parseHost(args.host ?? '127.0.0.1', '--host 127.0.0.1, or --host 0.0.0.0')
  const admin = adminOf(args)
  limitGarbage()
  const stopped = stopSignal()
  return withDatabase(args, context, async (database) => {
    const named = await namedPassphrase(args, context)
    // Each step is done once: where sessions end again and again, all at once would never be done.
    const insist = whenBack((error) => output.warn(error.message), stopped)
    await insist(() => migrate(database))
    const sealer = await insist(() => openKeys(args, context, database, { named }))
    const warning = await insist(() => standbyWarning(database))
    if (warning !== null) output.warn(warning)
    const begin = async () => {
      const starting = startReplica({
        database,
        sealer,
        url,
        host,
        port: parsePort(args.port ?? 14_600, '--port 14600, or 0 for a free one'),
        revocation: revocationOf(args),
        socket: serverSocket(args, context),
        proxies: args.proxy,
        acme: {
          http01Port: args['http01-port'],
          tlsAlpn01Port: args['tls-alpn01-port'],
          dnsResolver: args['dns-resolver'],
          eabRequired: args['no-eab-required'] !== true,
          openToAll: args['no-eab-required'] === true,
          validation: {
            deny: [],
            allow: args['allow-address'] ?? [],
            denyUnlessNamed: await watchAddresses({ host: databaseHost(args, env) }),
          },
          ...(args['no-limits'] === true ? {} : { limits }),
        },
        metricsPort: metricsPortOf(args),
        admin,
        now,
        write: (line) => output.log(line.trimEnd()),
      })
      return listeningAs(serverRunSpec, args, starting)
    }
    const replica = await insist(begin)
    const { urls, port } = replica
    output.result(
      [
        `ACME        ${urls.acme}`,
        `roots       ${urls.roots}`,
        ...(urls.revocation === null ? [] : [`revocation  ${urls.revocation}`]),
        ...(urls.admin === null ? [] : [`admin       ${urls.admin}`]),
        `listening   ${host}, port ${port}`,
      ],
      { urls, host, port, pid: process.pid },
    )
    const exposed = exposure(host)
    if (exposed !== null) output.warn(exposed)
    const keys = watchKeys(postgresStorage(database, sealer))
    const lost = await Promise.race([stopped.then(() => null), keys.lost])
    keys.stop()
    if (lost !== null) replica.log.event('error', 'keys lost', { error: lost.message })
    replica.log.event('info', 'draining', { seconds: drain })
    replica.drain()
    await sleep(drain * 1_000)
    await replica.close()
    replica.log.event('info', 'stopped')
    if (lost !== null) throw lost
    return exitCodes.ok
  })
}

/** How long a server that starts waits for its database, which may start beside it. */
const startMilliseconds = 30_000

/**
 * Returns a function that does work which needs the database, and again where that went away meanwhile: all
 * of it together no longer than `startMilliseconds`, and not after `stopped`. Calls `onAway` the first time.
 */
function whenBack(
  onAway: (error: RootlingError) => void,
  stopped: Promise<unknown>,
): <T>(work: () => Promise<T>) => Promise<T> {
  const end = performance.now() + startMilliseconds
  let [isStopped, isTold] = [false, false]
  void stopped.then(() => (isStopped = true))
  return async (work) => {
    for (;;)
      try {
        return await work()
      } catch (error) {
        const isAway = error instanceof RootlingError && error.code === 'database-away'
        if (!isAway || performance.now() > end) throw error
        if (!isTold) onAway(error)
        isTold = true
        await Promise.race([sleep(100), stopped])
        if (isStopped) throw error
      }
  }
}

/** `rootling server init`: makes the schema and the authority, or returns the one that is there. */
export async function serverInit(
  args: ArgumentsOf<typeof serverInitSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output, now } = context
  const { permit = [], force, grant } = args
  if (permit.length === 0)
    throw new RootlingError('usage', 'Say which names the authority may sign.', {
      hint: 'rootling server init --permit team.internal',
    })
  const named = await namedPassphrase(args, context)
  return withDatabase(args, context, async (database) => {
    await migrateAndGrant(database, grant)
    const sealer = await openKeys(args, context, database, { named, make: true })
    const { scope, created } = await foundAuthority(
      postgresStorage(database, sealer),
      { permit, force },
      now(),
    )
    const fingerprint = fingerprintOf(scope.root)
    output.result(
      [
        `may sign     ${scope.permitted.join(', ')}`,
        `fingerprint  ${fingerprintText(fingerprint)}`,
        `until        ${untilText(scope.rootNotAfter, now())}`,
      ],
      {
        created,
        permitted: scope.permitted,
        fingerprint,
        notAfter: scope.rootNotAfter.toISOString(),
        root: scope.root.toString(),
      },
    )
    output.note(
      created
        ? 'The key of the root is gone for good; that of the issuer is sealed in the database.'
        : 'The authority was there already.',
    )
    if (created)
      output.note(
        'Keep the fingerprint: machines trust the root by it. Next: rootling server run --url URL',
      )
    return exitCodes.ok
  })
}

/** `rootling server migrate`: brings the schema to this release. */
export async function serverMigrate(
  args: ArgumentsOf<typeof serverMigrateSpec>,
  context: Context,
): Promise<ExitCode> {
  return withDatabase(args, context, async (database) => {
    await migrateAndGrant(database, args.grant)
    context.output.note(`The schema in ${database.place} is that of this release.`)
    context.output.result([], { migrated: true })
    return exitCodes.ok
  })
}

/** Makes the schema that of this release, and lets a role serve, in one step. */
async function migrateAndGrant(database: Database, role: string | undefined): Promise<void> {
  const work = async (): Promise<void> => {
    await migrate(database)
    if (role !== undefined) await grantServing(database, role)
  }
  // An old schema has no table for the mark of a transaction.
  await database.transaction(work, { isMarked: false })
}

export interface DatabaseArguments {
  readonly database?: string | undefined
  readonly replica?: string | undefined
  readonly port?: number | undefined
}

/** Opens the database that the command line or the environment names, for some work. */
export async function withDatabase<T>(
  args: DatabaseArguments,
  { env }: Context,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const replica = args.replica ?? [hostname(), args.port ?? []].flat().join(':')
  // pg writes there what its next major version will not have, of which an operator cannot know.
  process.noDeprecation = true
  const database = openDatabase({ url: databaseUrl(args, env), replica })
  try {
    checkEncrypted(args, env)
    return await work(database)
  } catch (error) {
    throw schemaFault(error, database.place) ?? error
  } finally {
    await database.close()
  }
}

/** Returns the error for a role that may not use our schema, or a database without it; `null`: another one. */
function schemaFault(cause: unknown, place: string): RootlingError | null {
  // The SQLSTATEs of a privilege, a table, a schema and a function that is missing.
  if (!/^(?:42501|42P01|3F000|42883)$/.test(String((cause as { code?: unknown }).code))) return null
  const sentence = `This role may not use ${place}, or Rootling’s schema is not there or of another release`
  return new RootlingError('usage', `${sentence}: ${(cause as Error).message}.`, {
    hint: 'rootling server migrate --database URL-OF-THE-OWNER --grant ROLE',
    cause,
  })
}

/**
 * Returns the URL of the database. Throws `usage` for none, and for a password in the command line,
 * which every user of this machine can read.
 */
function databaseUrl({ database }: DatabaseArguments, env: Context['env']): string {
  const url = database ?? env['ROOTLING_DATABASE']
  if (url === undefined || url === '')
    throw new RootlingError('usage', 'No database was named.', {
      hint: '--database postgres://USER@HOST/DATABASE',
    })
  if (database !== undefined && holdsPassword(database))
    throw new RootlingError('usage', 'Other users can read a password in the command line.', {
      hint: 'Give the URL by the variable ROOTLING_DATABASE, or the password by PGPASSFILE',
    })
  return url
}

/**
 * Throws `usage` where the database is on another machine and nothing says whether the connection is to
 * be encrypted: pg would not encrypt it, and whoever stands in between would read the password.
 */
function checkEncrypted(args: DatabaseArguments, env: Context['env']): void {
  const host = databaseHost(args, env)
  if (host === null || isLoopback(host)) return
  const options = readDatabaseUrl(databaseUrl(args, env))?.url.searchParams
  const said = options?.get('sslmode') ?? options?.get('ssl') ?? env['PGSSLMODE'] ?? ''
  if (said !== '') return
  throw new RootlingError(
    'usage',
    `The connection to the database at ${host} would not be encrypted, and its password could be read.`,
    {
      hint: 'Add ?sslmode=verify-full to its URL, with &sslrootcert=FILE for a root of your own; or ?sslmode=disable in a network of its own',
    },
  )
}

function holdsPassword(text: string): boolean {
  const url = readDatabaseUrl(text)?.url
  return url !== undefined && (url.password !== '' || url.searchParams.has('password'))
}

/**
 * Returns the host of the database as its URL or PGHOST names it; `null`: it is reached by a socket of this
 * machine.
 */
function databaseHost(args: DatabaseArguments, env: Context['env']): string | null {
  const read = readDatabaseUrl(databaseUrl(args, env))
  const own = read === null || read.host === '' ? (env['PGHOST'] ?? '') : read.host
  const host = read?.url.searchParams.get('host') ?? own
  // A path, here or in the place of the host, is that of a socket.
  return host === '' || /[/%]/.test(host) ? null : host.replace(/^\[|\]$/g, '')
}

/** What one replica lets an account, or an address, do. */
const limits: AcmeLimits = {
  ordersPerHour: 300,
  namesPerHour: 3_000,
  failedValidationsPerHour: 60,
  newAccountsPerHour: 60,
  failedSignaturesPerMinute: 60,
}

function metricsPortOf({ 'metrics-port': port }: RunArguments): number | null {
  return port === undefined ? null : parsePort(port, '--metrics-port 14690', 'metrics-port')
}

function adminOf(args: RunArguments): ReplicaOptions['admin'] {
  const { 'admin-port': port, 'admin-host': host, admin } = args
  if (port === undefined) {
    if (host === undefined && admin === undefined) return undefined
    throw new RootlingError('usage', '--admin and --admin-host are for --admin-port.', {
      hint: '--admin-port 14601',
    })
  }
  return {
    port: parsePort(port, '--admin-port 14601', 'admin-port'),
    host: parseHost(host ?? '127.0.0.1', '--admin-host 0.0.0.0'),
    administrators: readAdministrators(admin ?? []),
  }
}

function revocationOf(args: RunArguments): { url: URL; port: number } | null {
  const { 'revocation-url': text, 'revocation-port': port = 14_680 } = args
  if (text === undefined) return null
  const url = URL.canParse(text) ? new URL(text) : null
  if (url?.protocol === 'http:' && url.href === `${url.origin}/`)
    return { url, port: parsePort(port, '--revocation-port 14680', 'revocation-port') }
  throw new RootlingError('usage', `--revocation-url ${text} is not an http URL without a path.`, {
    hint: '--revocation-url http://ca.team.internal: the answers are signed, so http is enough',
  })
}
