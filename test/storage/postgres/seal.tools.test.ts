import * as crypto from 'node:crypto'
import { beforeEach, expect, test, vi } from 'vitest'
import { createEabKey } from '../../../src/acme/eab-keys.ts'
import { resolveOptions, resolveProfiles } from '../../../src/acme/options.ts'
import { openPostgresStore } from '../../../src/acme/store/postgres.ts'
import { makeScope } from '../../../src/authority/ceremony.ts'
import { openSealer, sealWith, type Sealer } from '../../../src/storage/postgres/seal.ts'
import { postgresStorage } from '../../../src/storage/postgres/storage.ts'
import { usePostgres } from '../../helpers/postgres.ts'

vi.mock('node:crypto', async (load) => {
  const real = await load<typeof crypto>()
  return {
    ...real,
    scrypt: vi.fn<typeof crypto.scrypt>(real.scrypt),
    scryptSync: vi.fn<typeof crypto.scryptSync>(real.scryptSync),
  }
})
const computed = () => ({
  waiting: vi.mocked(crypto.scryptSync).mock.calls.length,
  beside: vi.mocked(crypto.scrypt).mock.calls.length,
})
beforeEach(() => {
  vi.clearAllMocks()
})

const postgres = usePostgres()
const passphrase = 'correct horse battery'

/** Does what a start of a server seals and opens: the issuing key, the nonces' secret, an EAB key. */
async function serve(url: string, sealer: Sealer) {
  const database = postgres.open(url)
  const storage = postgresStorage(database, sealer)
  const plan = { name: 'team', permitted: [], constraints: null }
  const { intermediateKey, ...scope } = await makeScope(plan, new Date())
  await storage.change((change) => change.createScope(scope, intermediateKey))
  const store = await openPostgresStore(database, sealer)
  const options = resolveOptions({})
  const own = { store, options, profiles: resolveProfiles(options) }
  const world = { ...own, now: () => new Date(), eabCommand: '' }
  await createEabKey(world)
  const { keyDigest } = await storage.scopes.read('team')
  expect(await storage.keys.read('team', keyDigest)).toContain('PRIVATE KEY')
  return (await store.eabKeys()).length
}

const saltsIn = async (url: string): Promise<string[]> =>
  (
    await postgres.server.psql(
      url,
      `select distinct encode(substring(s for 16), 'hex') from (
         select sealed_key as s from rootling.scope union all select value from rootling.secret
         union all select decode(rpad(translate(facts->>'sealed', '-_', '+/'), 96, '='), 'base64')
         from rootling.acme where kind = 'eabKey') as all_sealed`,
    )
  )
    .trim()
    .split('\n')

test('many starts over one database share a salt, and none waits for scrypt while it serves', async () => {
  const url = await postgres.create()
  for (let start = 1; start <= 3; start++) {
    const sealer = await openSealer(postgres.open(url), passphrase)
    expect(await serve(url, sealer)).toBe(start)
  }
  expect(await saltsIn(url)).toHaveLength(1)
  expect(computed()).toEqual({ waiting: 0, beside: 3 })
})

test('what was sealed with several salts opens, and all else is sealed with that of the issuing key', async () => {
  const url = await postgres.create()
  for (let start = 1; start <= 2; start++)
    expect(await serve(url, sealWith(passphrase))).toBe(start)
  expect(await saltsIn(url)).toHaveLength(2)
  vi.clearAllMocks()
  const sealer = await openSealer(postgres.open(url), passphrase)
  expect(await serve(url, sealer)).toBe(3)
  expect(await saltsIn(url)).toHaveLength(2)
  expect(computed()).toEqual({ waiting: 0, beside: 2 })
  const [salt] = (
    await postgres.server.psql(url, "select encode(sealed_key, 'hex') from rootling.scope")
  ).match(/^.{32}/) ?? ['']
  expect(sealer.seal(Buffer.from('a'), 'a').toString('hex', 0, 16)).toBe(salt)
})

test('a value of a process with another salt opens too, and one of another passphrase does not', async () => {
  const sealer = await openSealer(postgres.open(await postgres.create()), passphrase)
  const contents = Buffer.from('secret')
  expect(sealer.open(sealWith(passphrase).seal(contents, 'a'), 'a')).toEqual(contents)
  const other = sealWith('another passphrase')
  expect(() => sealer.open(other.seal(contents, 'a'), 'a')).toThrow('does not open a')
  expect(() => sealer.open(sealer.seal(contents, 'a'), 'b')).toThrow('does not open b')
})
