import { generateKeyPairSync } from 'node:crypto'
import { chmod } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { createIssuer } from '../../src/certificates/issuer.ts'
import { ensureAuthority } from '../../src/authority/create.ts'
import { readRecord } from '../../src/storage/files/record.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'

const now = () => new Date()
const request = {
  identifiers: [{ type: 'dns', value: 'localhost' }],
  purpose: 'server',
  spki: generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
    type: 'spki',
    format: 'der',
  }),
  keyType: 'p256',
  lifetime: 90,
} as const

test('certificates that are asked for at once are each recorded once, and fail together', async () => {
  const state = await temporaryState()
  await ensureAuthority(state, now())
  const issuer = createIssuer(fileStorage(state), now)
  const signAtOnce = () =>
    Promise.allSettled(Array.from({ length: 20 }, () => issuer.sign(request)))
  const serials = async () => (await readRecord(state)).map(({ serialNumber }) => serialNumber)

  const first = await signAtOnce()
  const signed = first.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  expect(signed).toHaveLength(20)
  const expected = signed.map(({ facts }) => facts.serialNumber).toSorted()
  expect((await serials()).toSorted()).toEqual(expected)

  await chmod(state.path, 0o777)
  for (const one of await signAtOnce())
    expect(one).toMatchObject({ status: 'rejected', reason: { code: 'loose-key' } })
  expect(await serials()).toHaveLength(20)

  await chmod(state.path, 0o700)
  for (const one of await signAtOnce()) expect(one.status).toBe('fulfilled')
  expect(new Set(await serials()).size).toBe(40)
})
