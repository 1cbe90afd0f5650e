import { X509Certificate } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { issue } from '../../src/certificates/issue.ts'
import { serialNumberIn } from '../../src/certificates/named.ts'
import { release, revoke } from '../../src/certificates/revoke.ts'
import { readInventory, recordPath } from '../../src/storage/files/record.ts'
import { revocationReasons } from '../../src/x509/revocation.ts'
import { contentsOf, makeWorld } from '../helpers/authority.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'

const monday = new Date('2026-01-05T10:00:00Z')
const tuesday = new Date('2026-01-06T10:00:00Z')

test('revokes by serial number, once: the second time says so and changes nothing', async () => {
  const world = await makeWorld()
  const { serialNumber: target } = await world.issue('web')
  const first = await revoke(fileStorage(world.state), {
    target,
    reason: 'keyCompromise',
    now: monday,
  })
  expect(first).toMatchObject({ changed: true, revocation: { reason: 'keyCompromise' } })
  const again = await revoke(fileStorage(world.state), {
    target,
    reason: 'superseded',
    now: tuesday,
  })
  expect(again.changed).toBe(false)
  expect(again.revocation).toEqual(first.revocation)
  const { revocations } = await readInventory(world.state)
  expect([...revocations.values()]).toEqual([first.revocation])
})

test.each(revocationReasons)('takes the reason %s', async (reason) => {
  const world = await makeWorld()
  const { serialNumber: target } = await world.issue('web')
  const { revocation } = await revoke(fileStorage(world.state), { target, reason, now: monday })
  expect(revocation).toEqual({ serialNumber: target, reason, revokedAt: monday.toISOString() })
})

test('revokes by file, PEM with its chain or DER', async () => {
  const world = await makeWorld()
  const pem = await world.issue('pem')
  const der = await world.issue('der')
  const chain = await contentsOf(world, 'pem')
  const leaf = new X509Certificate(await contentsOf(world, 'der')).raw
  for (const [target, { serialNumber }] of [
    [chain, pem],
    [leaf, der],
  ] as const) {
    const { record, changed } = await revoke(fileStorage(world.state), { target, now: monday })
    expect({ serial: record.serialNumber, changed }).toEqual({
      serial: serialNumber,
      changed: true,
    })
  }
})

test('refuses what it did not issue', async () => {
  const world = await makeWorld()
  await world.issue('web')
  const stranger = await makeWorld()
  await stranger.issue('web')
  const foreign = await contentsOf(stranger, 'web')
  const refusals = [
    ['4a'.repeat(16), 'usage', /No certificate on record has the serial number 4a4a/],
    [foreign, 'usage', /was not issued here/],
    [Buffer.from(world.scope.intermediate.toString()), 'usage', /An authority is not revoked/],
    [Buffer.from('hello\n'), 'bad-certificate', /holds no certificate/],
    [await contentsOf(world, 'web-key'), 'bad-certificate', /but a PRIVATE KEY/],
  ] as const
  for (const [target, code, message] of refusals)
    await expect(revoke(fileStorage(world.state), { target, now: monday })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    })
})

test('revokes what it issued also where an older backup has no record of it', async () => {
  const world = await makeWorld()
  await world.issue('before')
  const backup = await readFile(recordPath(world.state))
  const { serialNumber, identifiers, fingerprint } = await world.issue('after')
  const leaf = await contentsOf(world, 'after')
  await writeFile(recordPath(world.state), backup)
  const storage = fileStorage(world.state)
  const { changed, record } = await revoke(storage, { target: leaf, now: monday })
  expect(changed).toBe(true)
  expect(record).toMatchObject({ serialNumber, identifiers, fingerprint, scope: 'local' })
  const [listed] = await storage.certificates.revoked('local', monday)
  expect(listed?.certificate).toEqual(record)
  expect((await revoke(storage, { target: leaf, now: tuesday })).changed).toBe(false)
})

test('refuses to revoke a self-signed certificate, which no list could name', async () => {
  const world = await makeWorld()
  const request = { names: ['localhost'], selfSigned: true, files: null }
  const { record } = await issue(world.state, request, new Date())
  const revoking = revoke(fileStorage(world.state), { target: record.serialNumber, now: monday })
  await expect(revoking).rejects.toMatchObject({ code: 'usage', message: /no issuer/ })
})

test('a hold is released and placed again; released twice is well', async () => {
  const world = await makeWorld()
  const { serialNumber: target } = await world.issue('web')
  const hold = { target, reason: 'certificateHold', now: monday } as const
  expect((await revoke(fileStorage(world.state), hold)).changed).toBe(true)
  expect(await release(fileStorage(world.state), hold)).toMatchObject({
    changed: true,
    revocation: null,
  })
  expect(await release(fileStorage(world.state), hold)).toMatchObject({
    changed: false,
    revocation: null,
  })
  expect((await revoke(fileStorage(world.state), hold)).changed).toBe(true)
})

test('a hold becomes final with the date of the hold, and then it cannot be released', async () => {
  const world = await makeWorld()
  const { serialNumber: target } = await world.issue('web')
  await revoke(fileStorage(world.state), { target, reason: 'certificateHold', now: monday })
  const final = await revoke(fileStorage(world.state), {
    target,
    reason: 'keyCompromise',
    now: tuesday,
  })
  expect(final).toMatchObject({
    changed: true,
    revocation: { reason: 'keyCompromise', revokedAt: monday.toISOString() },
  })
  const releasing = release(fileStorage(world.state), { target, now: tuesday })
  await expect(releasing).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringMatching(/revoked for good \(keyCompromise\)/),
    hint: 'rootling issue localhost 127.0.0.1 web.test',
  })
})

test.each([
  ['4A:0F:00:11', '4a0f0011'],
  ['0x4a0f', '4a0f'],
  ['4a0f0011', '4a0f0011'],
  ['ab:12', null],
  ['localhost.pem', null],
  ['./cafe', null],
  ['abc', null],
  ['', null],
])('%j as a serial number is %s', (text, serialNumber) => {
  expect(serialNumberIn(text)).toBe(serialNumber)
})
