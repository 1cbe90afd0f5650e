import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import type { ClientCertificateStore, HeldIdentity } from '../../platform/client-store.ts'
import { RootlingError } from '../../src/errors.ts'
import {
  changeClientCertificate,
  type ClientCertificateRequest,
} from '../../src/trust/client-certificates.ts'
import { makePkcs12 } from '../../src/x509/pkcs12.ts'
import { makeRoot } from '../platform/world.ts'
import { shown } from './memory-stores.ts'

const directory = dirname(makeRoot().leaf)
const pem = readFileSync(join(directory, 'ca.pem'), 'utf8')
const { raw } = new X509Certificate(pem)
const key = createPrivateKey(readFileSync(join(directory, 'ca.key')))
const password = 'correct horse'

/** A store of the system, which holds what is installed. */
function createStore(changes: Partial<ClientCertificateStore<HeldIdentity>> = {}) {
  const held = new Set<string>()
  const store: ClientCertificateStore<HeldIdentity> = {
    id: 'system',
    kind: 'system',
    title: 'Keychain',
    availability: async () => ({ available: true }),
    has: async ({ fingerprint }) => held.has(fingerprint),
    install: async (_file, { fingerprint }) => void held.add(fingerprint),
    remove: async ({ fingerprint }) => void held.delete(fingerprint),
    ...changes,
  }
  return { held, store }
}

async function request(action: 'install' | 'remove'): Promise<ClientCertificateRequest> {
  const pkcs8 = key.export({ type: 'pkcs8', format: 'der' })
  const contents = await makePkcs12({ chain: [raw], pkcs8, friendlyName: 'ada', password })
  return {
    action,
    file: '/home/ada/ada.p12',
    shown: 'ada.p12',
    contents,
    withPassword: (open) => open(password),
  }
}

const world = { env: process.env, interactive: false }
const only = (store: ClientCertificateStore<HeldIdentity> | null) => ({
  system: async () => store,
  nss: async () => [],
})

test('installs a client certificate, and removes it by its PKCS #12 or PEM file', async () => {
  const { held, store } = createStore()
  const change = async (asked: ClientCertificateRequest) =>
    changeClientCertificate(world, {}, asked, only(store))
  const first = await change(await request('install'))
  expect([shown(first.outcomes), first.plannedCommands]).toEqual([['system: installed'], null])
  expect([...held]).toEqual([first.fingerprint])
  const again = await change(await request('install'))
  expect(shown(again.outcomes)).toEqual(['system: already-installed'])
  expect(shown((await change(await request('remove'))).outcomes)).toEqual(['system: removed'])
  await change(await request('install'))
  const asPem: ClientCertificateRequest = {
    ...(await request('remove')),
    contents: Buffer.from(pem),
    withPassword: () => expect.fail('a PEM file has no password'),
  }
  expect(shown((await change(asPem)).outcomes)).toEqual(['system: removed'])
  expect(shown((await change(asPem)).outcomes)).toEqual(['system: was-absent'])
})

test('plans in a dry run, and asks the store for no proof', async () => {
  const { store } = createStore({ install: async () => {} })
  const asked = await request('install')
  const change = await changeClientCertificate(world, { dryRun: true }, asked, only(store))
  expect([shown(change.outcomes), change.plannedCommands]).toEqual([['system: would-install'], []])
})

test.each([
  [
    'refuses',
    async () => {
      throw new RootlingError('store-failed', 'It is locked.', { hint: 'Unlock it' })
    },
    { reason: 'It is locked.', hint: 'Unlock it' },
  ],
  [
    'does not keep it',
    async () => {},
    { reason: 'Keychain reported success, but it is not there.' },
  ],
])('reports a store that %s', async (_, install, expected) => {
  const { store } = createStore({ install })
  const asked = await request('install')
  const { outcomes } = await changeClientCertificate(world, {}, asked, only(store))
  expect(outcomes).toMatchObject([{ outcome: 'failed', ...expected }])
})

test('throws for a PEM file to install, a wrong password and a machine without a store', async () => {
  const { store } = createStore()
  const asked = await request('install')
  const change = (
    changes: Partial<ClientCertificateRequest>,
    of: typeof store | null = store,
  ): Promise<unknown> => changeClientCertificate(world, {}, { ...asked, ...changes }, only(of))
  await expect(change({ contents: Buffer.from(pem) })).rejects.toMatchObject({ code: 'usage' })
  const wrong = change({ withPassword: (open) => open('wrong') })
  await expect(wrong).rejects.toMatchObject({ code: 'bad-key' })
  await expect(change({}, null)).rejects.toMatchObject({ code: 'store-failed' })
})
