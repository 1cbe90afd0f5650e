import { randomBytes } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { openDatabase } from '../../../src/storage/postgres/database.ts'
import { migrate } from '../../../src/storage/postgres/migrate.ts'
import { openPostgresServer } from '../../helpers/postgres-server.ts'
import { waitFor } from '../../helpers/subprocess.ts'

// A session that is ended while it waits for the standby has committed here and not there. A primary
// that is lost then takes with it what another attempt has found to be done.

async function startPair() {
  const primary = await openPostgresServer()
  onTestFinished(() => primary.close())
  const standby = await primary.addStandby()
  onTestFinished(() => standby.close())
  const url = await primary.createDatabase()
  const database = openDatabase({ url, patience: 300_000 })
  onTestFinished(() => database.close())
  await migrate(database)
  const waiting = async (): Promise<string | null> => {
    const sql = "select pid from pg_stat_activity where wait_event = 'SyncRep'"
    const pid = (await primary.psql(url, sql)).trim()
    return pid === '' ? null : pid
  }
  /** Ends the session of some work that waits for the standby, and expects that the work goes on waiting. */
  async function expectPatience(work: Promise<unknown>): Promise<void> {
    let isDone = false
    const done = work.then(() => (isDone = true))
    const first = await waitFor('a commit that waits', waiting)
    await primary.psql(url, `select pg_terminate_backend(${first})`)
    await waitFor('the next attempt', async () => {
      if (isDone) throw new Error('it was said to be done, and the standby does not have it')
      const next = await waiting()
      return next === null || next === first ? null : next
    })
    await standby.start()
    await done
  }
  return { database, standby, expectPatience }
}

test('a unit that happened on the primary alone is done once the standby has it', async () => {
  const { database, standby, expectPatience } = await startPair()
  await standby.stop('immediate')
  const values = [1, randomBytes(10), randomBytes(12), '[]', '[]', '[]', null, 'a', '']
  const outcome = database.query(
    'SELECT rootling.commit_unit($1, $2, $3, $4, $5, $6, $7, $8, $9) AS outcome',
    values,
  )
  await expectPatience(outcome)
  expect(await outcome).toEqual([{ outcome: 'done' }])
})

test('a transaction that happened on the primary alone is done once the standby has it', async () => {
  const { database, standby, expectPatience } = await startPair()
  await standby.stop('immediate')
  const change = database.transaction(async () => {
    await database.query("INSERT INTO rootling.secret VALUES ('one', 'x')")
    return 'changed'
  })
  await expectPatience(change)
  expect(await change).toBe('changed')
})
