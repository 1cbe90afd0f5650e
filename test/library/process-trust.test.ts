import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ephemeralAuthority } from '../../src/ephemeral/index.ts'
import { trustInProcess } from '../../src/index.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

test.each([
  ['no text at all', ''],
  ['a text without a certificate', 'hello'],
  ['a damaged certificate', '-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n'],
  ['a key', (await (await ephemeralAuthority()).certificate()).key],
  ['more than a mebibyte', 'x'.repeat(1024 * 1024 + 1)],
  ['a number', 1 as unknown as string],
])('refuses %s', async (_title, ca) => {
  await expect(trustInProcess(ca)).rejects.toMatchObject({
    name: 'RootlingError',
    code: 'bad-certificate',
    message: 'ca is not the PEM of certificates.',
  })
})

test('without an authority says how one is made', async () => {
  const home = join(await temporaryDirectory(), 'state')
  await expect(trustInProcess(undefined, { home })).rejects.toMatchObject({
    code: 'no-authority',
    hint: 'rootling install',
  })
})
