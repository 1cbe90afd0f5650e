import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { verifyAudit } from '../../src/storage/postgres/audit.ts'
import { openDatabase } from '../../src/storage/postgres/database.ts'
import { long, tally } from '../helpers/long.ts'
import { openPostgresServer, type PostgresServer } from '../helpers/postgres-server.ts'
import { startPgBouncer } from '../helpers/postgres.ts'
import { startCuttingProxy, type CuttingProxy } from './cutting-proxy.ts'
import { makeOrders, nothingSeen, type Load, type Seen } from './load.ts'
import { startTeam, type Team } from './team.ts'

// Processes of the built command, with HAProxy before them and PostgreSQL behind, asked by clients that
// nobody here wrote, while all of it breaks. The long form makes 2,000 orders: ROOTLING_LONG_TESTS=1.
const programs = ['/usr/sbin/haproxy', '/usr/bin/lego', '/usr/bin/certbot', '/usr/sbin/pgbouncer']
const isMissing = !programs.every((program) => existsSync(program))
const limit = long ? 7_200_000 : 900_000

/** A server of PostgreSQL with a database and a role that serves, behind a proxy that cuts. */
interface Place {
  readonly primary: PostgresServer
  readonly proxy: CuttingProxy
  readonly role: string
  /** The URL of the owner, past the proxy, and that of the role, through it. */
  readonly owner: string
  readonly serving: string
}

async function openPlace(): Promise<Place> {
  const primary = await openPostgresServer()
  onTestFinished(() => primary.close())
  const proxy = await startCuttingProxy(primary.port)
  onTestFinished(() => proxy.close())
  const owner = await primary.createDatabase()
  const role = 'serving'
  await primary.psql(owner, `create role ${role} login`)
  const serving = through(owner.replace('postgres@', `${role}@`), proxy.port)
  return { primary, proxy, role, owner, serving }
}

/** The same database at another port. */
const through = (url: string, port: number): string => url.replace(/:\d+\//, `:${port}/`)

/** The fault that the clients have to live with, again and again until `stop`, which waits for the last. */
function breakOften(
  pause: number,
  faults: readonly (() => Promise<unknown>)[],
): { stop(): Promise<void> } {
  const stopped = new AbortController()
  const work = (async () => {
    for (let i = 0; !stopped.signal.aborted; i++) {
      await faults[i % faults.length]?.()
      await delay(pause * (0.5 + Math.random()), undefined, { signal: stopped.signal }).catch(
        () => undefined,
      )
    }
  })()
  return {
    stop() {
      stopped.abort()
      return work
    },
  }
}

/** Ends all sessions of a database, and so breaks what they were doing. */
const endSessions = (server: PostgresServer, url: string): Promise<string> =>
  server.psql(
    url,
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  )

/** Kills and drains replicas in turn, and ends sessions. */
function replicaFaults(team: Team, sessions: () => Promise<unknown>) {
  let turn = 0
  const next = () => team.replicas[turn++ % team.replicas.length] as Team['replicas'][number]
  const kill = () => next().restart()
  const drain = async () => {
    const replica = next()
    await replica.drain()
    await replica.start()
  }
  return [kill, sessions, kill, sessions, drain, sessions]
}

/** Compares what the clients hold with what the database has, and expects that they were served well. */
async function expectNothingLost(
  { url, team, seen }: { readonly url: string; readonly team: Team; readonly seen: Seen },
  count: number,
): Promise<void> {
  expect(seen.refusals).toEqual([])
  const failed = team.log().filter(({ status }) => typeof status === 'number' && status >= 500)
  expect(failed).toEqual([])
  // A request that a client sent right is refused for its nonce alone, and only when it is repeated.
  const refused = team.log().filter(({ status }) => status === 400)
  expect(refused.length).toBeLessThanOrEqual(seen.repeated)

  expect(new Set(seen.serials).size).toBe(seen.serials.length)
  expect(seen.serials).toHaveLength(count)
  const database = openDatabase({ url, patience: 60_000 })
  const column = async (sql: string) =>
    (await database.query(sql)).map(({ value }) => String(value)).toSorted()
  try {
    const recorded = await column('SELECT serial AS value FROM rootling.certificate')
    const held = new Set(seen.serials)
    // lego and certbot give up when a connection breaks, and order anew: then nobody has the first one.
    const unclaimed = recorded.filter((serial) => !held.has(serial))
    expect(unclaimed.length).toBeLessThanOrEqual(seen.brokenRuns)
    expect(recorded).toHaveLength(count + unclaimed.length)
    expect(
      await column(
        "SELECT facts->>'serial' AS value FROM rootling.audit WHERE event = 'issued' AND actor LIKE 'account %'",
      ),
    ).toEqual(recorded)
    // Each certificate belongs to one order, and each order that is valid has its certificate.
    expect(
      await column(
        `SELECT ltrim(c.facts->>'serialNumber', '0') AS value FROM rootling.acme c
         JOIN rootling.acme o ON o.kind = 'order' AND o.id = c.facts->>'orderId'
           AND o.facts->>'certificateId' = c.id AND NOT o.open
         WHERE c.kind = 'certificate'`,
      ),
    ).toEqual(recorded)
    const orders = await column(
      "SELECT id AS value FROM rootling.acme WHERE kind = 'order' AND facts ? 'certificateId'",
    )
    expect(orders).toHaveLength(recorded.length)
    expect(seen.orders.filter((order) => !orders.includes(order.split('/').at(-1) ?? ''))).toEqual(
      [],
    )
    // Whoever asks for a validation gets an answer, also where the one who began it was killed.
    const { faults } = await verifyAudit(database)
    expect(faults).toEqual([])
    const said = [
      `${count} orders`,
      `${recorded.length} certificates`,
      `${unclaimed.length} of them for a client that had given up`,
      `${seen.broken} requests and ${seen.brokenRuns} runs whose connection broke`,
      `${seen.repeated} repeated requests refused`,
    ]
    console.log(said.join(', '))
    tally('orders of a team’s server under faults', count)
    tally('kills of replicas', team.kills)
    tally('drains of replicas', team.drains)
    tally('connections broken off at clients', seen.broken)
  } finally {
    await database.close()
  }
}

test.skipIf(isMissing)(
  'three replicas lose and double nothing while replicas, sessions, commits and the primary end',
  async () => {
    const { primary, proxy, role, owner, serving } = await openPlace()
    const standby = await primary.addStandby()
    onTestFinished(() => standby.close())
    const team = await startTeam({ owner, serving, role })
    const load: Required<Load> = long
      ? { raw: 1_000, acmeClient: 440, lego: 36, certbot: 24 }
      : { raw: 24, acmeClient: 6, lego: 1, certbot: 1 }
    const count = Object.values(load).reduce((sum, one) => sum + one, 0)
    const seen = nothingSeen()
    proxy.cut(0.05)
    let server = primary
    const url = () => through(owner, server.port)
    const breaking = breakOften(
      long ? 4_000 : 1_500,
      replicaFaults(team, () => endSessions(server, url()).catch(() => undefined)),
    )
    const failover = (async () => {
      while (seen.serials.length < count / 2) await delay(100)
      await primary.stop('immediate')
      await standby.psql(through(owner, standby.port), 'select pg_promote()')
      server = standby
      proxy.target(standby.port)
    })()
    try {
      await makeOrders(team, load, seen)
    } finally {
      await breaking.stop()
    }
    await failover
    tally('answers to commits cut off', proxy.cuts)
    console.log(`${team.kills} kills, ${team.drains} drains, ${proxy.cuts} commits cut off`)
    await expectNothingLost({ url: url(), team, seen }, count)
  },
  limit,
)

test.skipIf(isMissing)(
  'replicas behind PgBouncer in transaction mode lose and double nothing either',
  async () => {
    const { primary, proxy, role, owner } = await openPlace()
    const port = await startPgBouncer(primary, [role])
    proxy.target(port)
    const serving = through(owner.replace('postgres@', `${role}@`), proxy.port)
    const team = await startTeam({ owner, serving, role })
    const load: Load = long ? { raw: 300, acmeClient: 100 } : { raw: 12 }
    const seen = nothingSeen()
    proxy.cut(0.05)
    const breaking = breakOften(
      long ? 4_000 : 1_500,
      replicaFaults(team, () => endSessions(primary, owner)),
    )
    try {
      await makeOrders(team, load, seen)
    } finally {
      await breaking.stop()
    }
    tally('answers to commits cut off', proxy.cuts)
    console.log(`${team.kills} kills, ${team.drains} drains, ${proxy.cuts} commits cut off`)
    await expectNothingLost({ url: owner, team, seen }, long ? 400 : 12)
  },
  limit,
)
