import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { verifyAudit } from '../../src/storage/postgres/audit.ts'
import { openDatabase } from '../../src/storage/postgres/database.ts'
import { RawClient } from '../acme/raw.ts'
import { long, tally } from '../helpers/long.ts'
import { openPostgresServer, type PostgresServer } from '../helpers/postgres-server.ts'
import { startPgBouncer } from '../helpers/postgres.ts'
import { waitFor } from '../helpers/subprocess.ts'
import { startCuttingProxy, type CuttingProxy } from './cutting-proxy.ts'
import { makeOrders, nothingSeen, type Load, type Seen } from './load.ts'
import { buildNextRelease } from './next-release.ts'
import { startTeam, type Team } from './cluster.ts'

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

interface Breaking {
  /** Rejects when a fault itself fails; what it broke never comes back then. */
  readonly failed: Promise<void>
  stop(): Promise<void>
}

/** Breaks something again and again, a pause after each, until `stop`, which waits for the last. */
function again(pause: number, fault: () => Promise<unknown>): Breaking {
  const stopped = new AbortController()
  const { signal } = stopped
  const work = (async () => {
    while (!signal.aborted) {
      await delay(pause * (0.5 + Math.random()), undefined, { signal }).catch(() => undefined)
      if (!signal.aborted) await fault()
    }
  })()
  return {
    failed: work,
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

/** Kills a replica, kills the next one, drains the third, and so on. */
function breakReplicas(team: Team): Breaking {
  let turn = 0
  return again(long ? 4_000 : 500, async () => {
    const replica = team.replicas[turn++ % team.replicas.length]
    if (turn % 3 !== 0) return replica?.restart()
    await replica?.drain()
    return replica?.start()
  })
}

/** Compares what the clients hold with what the database has, and expects that they were served well. */
async function expectNothingLost(url: string, team: Team, seen: Seen): Promise<void> {
  const count = seen.serials.length
  expect(seen.refusals).toEqual([])
  const failed = team.log().filter(({ status }) => typeof status === 'number' && status >= 500)
  expect(failed).toEqual([])
  // A request that a client sent right is refused for its nonce alone, and only when it is repeated.
  const refused = team.log().filter(({ status }) => status === 400)
  expect(refused.length).toBeLessThanOrEqual(seen.repeated)

  expect(new Set(seen.serials).size).toBe(seen.serials.length)
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

/** How long the short form goes on: until each kind of fault was there. */
const untilBroken =
  (team: Team): (() => boolean) =>
  () =>
    !long && (team.kills < 2 || team.drains < 1)

test.skipIf(isMissing)(
  'three replicas lose and double nothing while replicas, sessions, commits and the primary end',
  async () => {
    const { primary, proxy, role, owner, serving } = await openPlace()
    const standby = await primary.addStandby()
    onTestFinished(() => standby.close())
    const team = await startTeam({ owner, serving, role })
    const load: Load = long
      ? { raw: 1_000, acmeClient: 440, lego: 36, certbot: 24 }
      : { raw: 16, acmeClient: 4, lego: 1, certbot: 1 }
    const seen = nothingSeen()
    proxy.cut(0.05)
    let server = primary
    const url = () => through(owner, server.port)
    const breaking = [
      breakReplicas(team),
      // Meanwhile the primary may be gone.
      again(long ? 3_000 : 1_000, () => endSessions(server, url()).catch(() => undefined)),
    ]
    const failover = (async () => {
      while (seen.serials.length < (long ? 750 : 10)) await delay(100)
      await primary.stop('immediate')
      await standby.psql(through(owner, standby.port), 'select pg_promote()')
      server = standby
      proxy.target(standby.port)
    })()
    const orders = makeOrders(team, { ...load, more: untilBroken(team) }, seen)
    await Promise.race([orders, ...breaking.map((one) => one.failed)])
    await Promise.all([failover, ...breaking.map((one) => one.stop())])
    expect([team.kills > 1, team.drains > 0, proxy.cuts > 0]).toEqual([true, true, true])
    tally('answers to commits cut off', proxy.cuts)
    console.log(`${team.kills} kills, ${team.drains} drains, ${proxy.cuts} commits cut off`)
    await expectNothingLost(url(), team, seen)
  },
  limit,
)

test.skipIf(isMissing)(
  'replicas behind PgBouncer in transaction mode lose and double nothing either',
  async () => {
    const { primary, proxy, role, owner, serving } = await openPlace()
    proxy.target(await startPgBouncer(primary, [role]))
    const team = await startTeam({ owner, serving, role, count: long ? 3 : 2 })
    const seen = nothingSeen()
    proxy.cut(0.05)
    const breaking = [
      breakReplicas(team),
      again(long ? 3_000 : 1_000, () => endSessions(primary, owner)),
    ]
    const load: Load = long ? { raw: 300, acmeClient: 100 } : { raw: 8 }
    const orders = makeOrders(team, { ...load, more: () => !long && team.kills < 1 }, seen)
    await Promise.race([orders, ...breaking.map((one) => one.failed)])
    await Promise.all(breaking.map((one) => one.stop()))
    expect(proxy.cuts).toBeGreaterThan(0)
    tally('answers to commits cut off', proxy.cuts)
    console.log(`${team.kills} kills, ${team.drains} drains, ${proxy.cuts} commits cut off`)
    await expectNothingLost(owner, team, seen)
  },
  limit,
)

test.skipIf(isMissing)(
  'while the database is away or silent, clients get 503 with Retry-After, and certificates once it is back',
  async () => {
    const { proxy, role, owner, serving } = await openPlace()
    const team = await startTeam({ owner, serving, role, count: 2 })
    const client = await new RawClient(team.directory, team.root).start()
    onTestFinished(() => client.close())
    const seen = nothingSeen()
    await makeOrders(team, { raw: 2 }, seen)
    expect(seen.refusals).toEqual([])

    const url = client.to('newOrder')
    const names = { identifiers: [{ type: 'dns', value: 'away.localhost' }] }
    const body = async () =>
      JSON.stringify(client.sign(names, { url, nonce: await client.nonce(), kid: client.kid }))
    const send = (signed: string) =>
      client.send('POST', url, signed, { 'Content-Type': 'application/jose+json' })
    for (const state of ['away', 'silent'] as const) {
      const bodies = [await body(), await body(), await body(), await body()]
      proxy.become(state)
      for (const { status, headers, body: problem } of await Promise.all(bodies.map(send))) {
        expect([status, problem.type]).toEqual([503, 'urn:ietf:params:acme:error:serverInternal'])
        expect(headers['retry-after']).toMatch(/^[1-9]\d*$/)
      }
      // Also a client that connects meanwhile is answered, although no replica is ready.
      client.agent.destroy()
      expect((await send(bodies[0] ?? '')).status).toBe(503)
      proxy.become('open')
      // The same requests again, whose nonces are still good.
      for (const signed of bodies) expect(await send(signed)).toMatchObject({ status: 201 })
      await makeOrders(team, { raw: 2 }, seen)
      expect(seen.refusals).toEqual([])
    }
    expect(seen.serials).toHaveLength(6)
  },
  limit,
)

/** A step that adds, and holds its locks for a second, as a step over a large table does. */
const nextStep = `
ALTER TABLE rootling.acme ADD COLUMN noted timestamptz NOT NULL DEFAULT now();
ALTER TABLE rootling.certificate ADD COLUMN note text;
CREATE OR REPLACE FUNCTION rootling.touch(of text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO rootling.revision AS r VALUES (of, 1)
  ON CONFLICT (name) DO UPDATE SET number = r.number + 1
$$;
SELECT pg_sleep(1);
`

test.skipIf(isMissing)(
  'replicas of this release go on while the next one migrates, starts its own and drains them',
  async () => {
    const { primary, role, owner, serving } = await openPlace()
    const next = await buildNextRelease(nextStep)
    const team = await startTeam({ owner, serving, role, count: 2 })
    const old = [...team.replicas]
    const seen = nothingSeen()
    let isUpgrading = true
    const more = async (count: number): Promise<void> => {
      const before = seen.serials.length
      await waitFor('orders', () => (seen.serials.length >= before + count ? true : null))
    }
    const load: Load = long ? { raw: 100 } : { raw: 8, clients: 1 }
    const work = makeOrders(team, { ...load, more: () => isUpgrading }, seen)
    const upgrade = async (): Promise<void> => {
      await more(2)
      await team.json(['server', 'migrate', '--database', owner, '--grant', role], next)
      await more(4)
      for (const replica of old) {
        await team.add(next)
        await replica.drain()
      }
      await more(2)
    }
    await Promise.all([upgrade().finally(() => (isUpgrading = false)), work])
    const noted = 'select count(*) from rootling.acme where noted is not null'
    expect(Number(await primary.psql(owner, noted))).toBeGreaterThan(0)
    await expectNothingLost(owner, team, seen)
    // What was drained does not come back: the schema is of a release that it does not know.
    await expect(old[0]?.start()).rejects.toThrow('of a newer Rootling')
  },
  limit,
)
