import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { keptCertificate } from '../../src/certificates/kept.ts'
import { release, revoke } from '../../src/certificates/revoke.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'
import { revocationReasons } from '../../src/x509/revocation.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'

const now = new Date()

async function withKept() {
  const state = await temporaryState()
  await ensureAuthority(state, now)
  const ask = () => keptCertificate(state, ['app.test'], {}, now)
  return { state, ask, first: await ask() }
}

test.each(revocationReasons)('a certificate that was revoked (%s) is not kept', async (reason) => {
  const { state, ask, first } = await withKept()
  expect(await ask()).toEqual(first)
  await revoke(fileStorage(state), { target: first.serialNumber, reason, now })
  const [second, third] = await Promise.all([ask(), ask()])
  expect(second.serialNumber).not.toBe(first.serialNumber)
  expect(third).toEqual(second)
  expect(await ask()).toEqual(second)
})

test('one whose hold was released is kept, and one that was revoked in a copied directory is not', async () => {
  const { state, ask, first } = await withKept()
  const target = first.serialNumber
  await revoke(fileStorage(state), { target, reason: 'certificateHold', now })
  await release(fileStorage(state), { target, now })
  expect(await ask()).toEqual(first)
  await revoke(fileStorage(state), { target, now })
  const path = join(await temporaryDirectory(), 'copy')
  await cp(state.path, path, { recursive: true })
  const copied = await keptCertificate({ path, owner: null }, ['app.test'], {}, now)
  expect(copied.serialNumber).not.toBe(target)
})
