import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { permitScope } from '../../src/authority/create.ts'
import { makeCrl, readRootCrl } from '../../src/certificates/crl.ts'
import { release } from '../../src/certificates/revoke.ts'
import { scopePath } from '../../src/storage/files/scopes.ts'
import { day } from '../../src/x509/profiles.ts'
import { hasTool, runTool } from '../helpers/tools.ts'
import { contentsOf, makeWorld, openssl, type World } from '../helpers/authority.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'

const certtool = await hasTool('certtool')
const curl = await hasTool('curl')

async function numberOf(world: World, scope = 'local', now = new Date()): Promise<bigint> {
  const file = world.path('number.crl')
  await writeFile(file, await makeCrl(fileStorage(world.state), scope, now))
  const text = await openssl('crl', '-inform', 'DER', '-in', file, '-noout', '-crlnumber')
  return BigInt(/crlNumber=(0x[0-9A-F]+)/.exec(text)?.[1] ?? '-1')
}

test('OpenSSL reads and verifies the list: version, dates, serial numbers, reasons', async () => {
  const world = await makeWorld()
  const [leaked, old, held, fine] = [
    await world.issue('leaked'),
    await world.issue('old'),
    await world.issue('held'),
    await world.issue('fine'),
  ]
  await world.revoke(leaked, 'keyCompromise')
  await world.revoke(old)
  await world.revoke(held, 'certificateHold')
  await world.writeCrls()
  const text = await openssl('crl', '-in', world.path('crl.pem'), '-noout', '-text')
  expect(text).toMatch(/Version 2 \(0x1\)/)
  expect(text).toMatch(/X509v3 Authority Key Identifier/)
  const entries = text.split('Serial Number: ').slice(1)
  const found = entries.map((entry) => [
    entry.slice(0, 32).toLowerCase(),
    /Reason Code: \s+(.*)/.exec(entry)?.[1] ?? null,
  ])
  expect(found).toEqual([
    [leaked.serialNumber, 'Key Compromise'],
    [old.serialNumber, null],
    [held.serialNumber, 'Certificate Hold'],
  ])
  expect(text.toLowerCase()).not.toContain(fine.serialNumber)
  const dates = /Last Update: (.*)\n\s+Next Update: (.*)/.exec(text)
  expect(Date.parse(dates?.[2] ?? '') - Date.parse(dates?.[1] ?? '')).toBe(7 * day)
  const verify = (ca: string) =>
    openssl('crl', '-in', world.path('crl.pem'), '-noout', '-CAfile', world.path(ca))
  expect(await verify('cas.pem')).toMatch(/verify OK/)
  const stranger = await makeWorld()
  await writeFile(world.path('stranger.pem'), await readFile(stranger.path('cas.pem')))
  expect(await verify('stranger.pem')).not.toMatch(/verify OK/)
})

test('openssl verify checks the whole chain against both lists, and needs both', async () => {
  const world = await makeWorld()
  const bad = await world.issue('bad')
  await world.issue('good')
  await world.revoke(bad, 'keyCompromise')
  await world.writeCrls()
  const verify = (name: string, crls: string, flags: string[]) =>
    openssl(
      'verify',
      '-x509_strict',
      '-CAfile',
      world.path('root.pem'),
      '-untrusted',
      world.path('intermediate.pem'),
      '-CRLfile',
      world.path(crls),
      ...flags,
      world.path(`${name}.pem`),
    )
  const all = ['-crl_check', '-crl_check_all']
  expect(await verify('good', 'crls.pem', all)).toMatch(/good\.pem: OK/)
  expect(await verify('bad', 'crls.pem', all)).toMatch(/certificate revoked/)
  expect(await verify('good', 'crl.pem', ['-crl_check'])).toMatch(/good\.pem: OK/)
  expect(await verify('bad', 'crl.pem', ['-crl_check'])).toMatch(/certificate revoked/)
  expect(await verify('good', 'crl.pem', all)).toMatch(/unable to get certificate CRL/)
  expect(await verify('good', 'root-crl.pem', ['-crl_check'])).toMatch(/unable to get cert.* CRL/)
})

test('a list is refused when its seven days are over', async () => {
  const world = await makeWorld()
  await world.issue('good')
  await world.writeCrls()
  const verify = (days: number) =>
    openssl(
      'verify',
      '-CAfile',
      world.path('root.pem'),
      '-CRLfile',
      world.path('crl.pem'),
      '-untrusted',
      world.path('intermediate.pem'),
      '-crl_check',
      '-attime',
      String(Math.floor(Date.now() / 1000) + days * 86_400),
      world.path('good.pem'),
    )
  expect(await verify(6)).toMatch(/: OK/)
  expect(await verify(8)).toMatch(/CRL has expired/)
})

test('a released hold, and what expired more than a list’s lifetime ago, are not listed', async () => {
  const world = await makeWorld()
  const held = await world.issue('held')
  const { serialNumber, notAfter } = await world.issue('gone')
  await world.revoke(held, 'certificateHold')
  await world.revoke(await world.issue('other'))
  await release(fileStorage(world.state), { target: held.serialNumber, now: new Date() })
  await world.writeCrls()
  const text = async () =>
    (await openssl('crl', '-in', world.path('crl.pem'), '-noout', '-text')).toLowerCase()
  expect(await text()).not.toContain(held.serialNumber)
  await world.revoke({ ...held, serialNumber })
  await world.writeCrls(new Date(Date.parse(notAfter) + 6 * day))
  expect(await text()).toContain(serialNumber)
  await world.writeCrls(new Date(Date.parse(notAfter) + 8 * day))
  expect(await text()).toContain('no revoked certificates')
})

test('each scope has its own list', async () => {
  const world = await makeWorld()
  await permitScope(world.state, { permit: ['dev.example.com'], name: 'work' }, new Date())
  await world.revoke(await world.issue('web'))
  const file = world.path('work.crl')
  await writeFile(file, await makeCrl(fileStorage(world.state), 'work', new Date()))
  const text = await openssl('crl', '-inform', 'DER', '-in', file, '-noout', '-text')
  expect(text).toMatch(/No Revoked Certificates/)
  await expect(makeCrl(fileStorage(world.state), 'none', new Date())).rejects.toMatchObject({
    code: 'no-scope',
    hint: 'The scopes are: local, work',
  })
})

test('numbers only rise: many at once, with a clock set back, after a lost file', async () => {
  const world = await makeWorld()
  const first = await numberOf(world)
  const setBack = new Date(Date.now() - 12 * 3_600_000)
  await Promise.all(
    Array.from({ length: 20 }, () => makeCrl(fileStorage(world.state), 'local', setBack)),
  )
  const second = await numberOf(world, 'local', setBack)
  expect(second).toBe(first + 21n)
  const path = join(scopePath(world.state, 'local'), 'crl-number')
  await writeFile(path, '1\n')
  expect(await numberOf(world, 'local', new Date(Date.now() + 60_000))).toBeGreaterThan(second)
  await writeFile(path, 'seven\n')
  await expect(makeCrl(fileStorage(world.state), 'local', new Date())).rejects.toMatchObject({
    code: 'corrupt-state',
    hint: expect.stringContaining(`rm ${path}`),
  })
})

test.skipIf(!certtool)(
  'GnuTLS verifies the list with its issuer and not with another',
  async () => {
    const world = await makeWorld()
    await world.revoke(await world.issue('web'), 'superseded')
    await world.writeCrls()
    const stranger = await makeWorld()
    const crl = (await readFile(world.path('crl.pem'))).toString()
    const run = (ca: string) =>
      runTool('certtool', ['--verify-crl', '--load-ca-certificate', ca], crl)
    expect((await run(world.path('intermediate.pem'))).stdout).toMatch(/Verified/)
    expect((await run(stranger.path('intermediate.pem'))).stdout).toMatch(/Not verified/)
  },
)

test.skipIf(!curl)(
  'curl --crlfile accepts the good server and refuses the revoked one',
  async () => {
    const world = await makeWorld()
    const bad = await world.issue('bad')
    await world.issue('good')
    await world.revoke(bad, 'keyCompromise')
    await world.writeCrls()
    const fetch = async (name: string, crl: string[]) => {
      const [cert, key] = [await contentsOf(world, name), await contentsOf(world, `${name}-key`)]
      const server = createServer({ cert, key }, (_request, response) => response.end('hello'))
      server.on('tlsClientError', () => undefined)
      onTestFinished(() => server.closeAllConnections())
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const url = `https://localhost:${(server.address() as AddressInfo).port}/`
      const args = ['-sS', '--cacert', world.path('root.pem'), ...crl, url]
      const result = await runTool('curl', args)
      server.close()
      return result.stdout + result.stderr
    }
    const crls = ['--crlfile', world.path('crls.pem')]
    expect(await fetch('good', crls)).toBe('hello')
    expect(await fetch('bad', crls)).toMatch(/certificate revoked/)
    // Without the list curl has no way to know.
    expect(await fetch('bad', [])).toBe('hello')
  },
)

test('the root’s list is the one that the ceremony signed, and does not change', async () => {
  const world = await makeWorld()
  await world.writeCrls()
  const before = await readRootCrl(fileStorage(world.state), 'local')
  await world.revoke(await world.issue('web'))
  expect(await readRootCrl(fileStorage(world.state), 'local')).toEqual(before)
  const args = ['-noout', '-CAfile', world.path('root.pem')]
  expect(await openssl('crl', '-in', world.path('root-crl.pem'), ...args)).toMatch(/verify OK/)
})
