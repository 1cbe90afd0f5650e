import { chownSync, chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openDatabase } from '../../../src/storage/postgres/database.ts'
import { createOpensslCa } from '../../helpers/openssl-ca.ts'
import { openPostgresServer } from '../../helpers/postgres-server.ts'
import { waitFor } from '../../helpers/subprocess.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

test('sslmode=verify-full encrypts, and refuses another root and another host', async () => {
  const ca = await createOpensslCa('Root of the database')
  onTestFinished(() => ca.remove())
  const stranger = await createOpensslCa('Stranger root')
  onTestFinished(() => stranger.remove())
  const server = await openPostgresServer()
  onTestFinished(() => server.close())
  const url = await server.createDatabase()
  const { key, cert } = await ca.issue(['localhost'])
  for (const [name, text] of [
    ['server.key', key],
    ['server.crt', cert],
  ] as const) {
    const file = join(server.socket, 'data', name)
    writeFileSync(file, text)
    chmodSync(file, 0o600)
    if (process.getuid?.() === 0) chownSync(file, 65534, 65534)
  }
  await server.psql(url, 'alter system set ssl = on')
  await server.psql(url, 'select pg_reload_conf()')
  await waitFor('TLS', async () =>
    (await server.psql(url, 'show ssl')).trim() === 'on' ? true : null,
  )
  const directory = await temporaryDirectory()
  const roots = { ours: join(directory, 'ours.pem'), theirs: join(directory, 'theirs.pem') }
  writeFileSync(roots.ours, ca.root)
  writeFileSync(roots.theirs, stranger.root)
  const ask = async (host: string, root: string): Promise<unknown> => {
    const options = `?sslmode=verify-full&sslrootcert=${encodeURIComponent(root)}`
    const database = openDatabase({
      url: url.replace('127.0.0.1', host) + options,
      patience: 1_000,
    })
    try {
      const [row] = await database.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')
      return row?.['ssl']
    } finally {
      await database.close()
    }
  }
  expect(await ask('localhost', roots.ours)).toBe(true)
  await expect(ask('localhost', roots.theirs)).rejects.toMatchObject({ code: 'connect-failed' })
  await expect(ask('127.0.0.1', roots.ours)).rejects.toMatchObject({ code: 'connect-failed' })
})
