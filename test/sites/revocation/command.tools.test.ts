import { once } from 'node:events'
import { stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { createRevocationHandler } from '../../../src/sites/revocation/server.ts'
import { fileStorage } from '../../../src/storage/files/storage.ts'
import { command, ensureBuilt } from '../../helpers/built.ts'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { killGroup, run, start } from '../../helpers/subprocess.ts'
import { makeWorld, openssl, type World } from '../../helpers/authority.ts'

beforeAll(ensureBuilt)

const environment = (world: World): Record<string, string> =>
  scrubbedEnvironment(world.directory, { ROOTLING_HOME: world.state.path })

function rootling(world: World, ...args: string[]) {
  return run(process.execPath, [command, ...args], environment(world))
}

test('a running responder sees what another process revokes, and ends on Ctrl-C with 0', async () => {
  const world = await makeWorld()
  await world.issue('web')
  const args = [command, 'ocsp', '--port', '0', '--json']
  const responder = start(process.execPath, args, environment(world))
  onTestFinished(() => killGroup(responder))
  const closed = once(responder, 'close')
  const [first] = (await once(responder.stdout, 'data')) as [Buffer]
  const { urls, port } = JSON.parse(first.toString()) as {
    urls: { ocsp: string; crls: string[] }
    port: number
  }
  expect(urls).toEqual({
    ocsp: `http://127.0.0.1:${port}/ocsp`,
    crls: [`http://127.0.0.1:${port}/local.crl`],
  })
  const ask = () =>
    openssl(
      'ocsp',
      '-issuer',
      world.path('intermediate.pem'),
      '-CAfile',
      world.path('cas.pem'),
      '-url',
      urls.ocsp,
      '-cert',
      world.path('web.pem'),
    )
  expect(await ask()).toMatch(/web\.pem: good/)
  const revoked = await rootling(world, 'revoke', world.path('web.pem'), '--json')
  expect(JSON.parse(revoked.stdout)).toMatchObject({
    ok: true,
    changed: true,
    revocation: { reason: 'unspecified' },
  })
  expect(await ask()).toMatch(/web\.pem: revoked/)
  responder.kill('SIGINT')
  expect(await closed).toEqual([0, null])
})

test('revoke twice is well, and of an unknown serial number a usage error', async () => {
  const world = await makeWorld()
  const { serialNumber } = await world.issue('web')
  const colons = serialNumber.replaceAll(/(..)(?!$)/g, '$1:').toUpperCase()
  const first = await rootling(world, 'revoke', colons, '--reason', 'certificateHold')
  expect([first.exitCode, first.stdout]).toEqual([
    0,
    `Revoked localhost, 127.0.0.1, web.test (${serialNumber}): certificateHold.\n`,
  ])
  const again = await rootling(world, 'revoke', serialNumber)
  expect([again.exitCode, again.stdout]).toEqual([0, expect.stringMatching(/: unspecified\.\n$/)])
  const third = await rootling(world, 'revoke', serialNumber)
  expect([third.exitCode, third.stdout]).toEqual([0, expect.stringMatching(/revoked already/)])
  const released = await rootling(world, 'revoke', serialNumber, '--release')
  expect([released.exitCode, released.stderr]).toEqual([
    2,
    expect.stringMatching(/revoked for good/),
  ])
  const unknown = await rootling(world, 'revoke', '1234')
  expect([unknown.exitCode, unknown.stderr]).toEqual([
    2,
    expect.stringMatching(/serial number 1234/),
  ])
  const both = await rootling(world, 'revoke', '1234', '--release', '--reason', 'superseded')
  expect(both.exitCode).toBe(2)
})

test('crl prints PEM, or writes a file that others can read', async () => {
  const world = await makeWorld()
  const pem = await rootling(world, 'crl')
  expect(pem.stdout).toMatch(/^-----BEGIN X509 CRL-----\n[^]*\n-----END X509 CRL-----\n$/)
  const out = world.path('local.crl')
  const written = await rootling(world, 'crl', '--der', '--out', out)
  expect([written.exitCode, written.stdout]).toEqual([0, `${out}\n`])
  expect((await stat(out)).mode & 0o777).toBe(0o644)
  const check = ['-inform', 'DER', '-in', out, '-noout', '-CAfile', world.path('cas.pem')]
  expect(await openssl('crl', ...check)).toMatch(/verify OK/)
  const root = await rootling(world, 'crl', '--root')
  await writeFile(world.path('root.crl'), root.stdout)
  const asRoot = ['-in', world.path('root.crl'), '-noout', '-CAfile', world.path('root.pem')]
  expect(await openssl('crl', ...asRoot)).toMatch(/verify OK/)
  const issuer = await rootling(world, 'crl', '--issuer')
  const lists = (text: string) => text.match(/-----BEGIN X509 CRL-----/g)?.length
  expect([pem, issuer, root].map(({ stdout }) => lists(stdout))).toEqual([2, 1, 1])
  expect(pem.stdout.endsWith(root.stdout)).toBe(true)
  await writeFile(world.path('issuer.crl'), issuer.stdout)
  const asIssuer = ['-in', world.path('issuer.crl'), '-noout', '-CAfile', world.path('cas.pem')]
  expect(await openssl('crl', ...asIssuer)).toMatch(/verify OK/)
  const json = JSON.parse((await rootling(world, 'crl', '--json')).stdout)
  expect([lists(json.crl), json.root]).toEqual([2, false])
  expect((await rootling(world, 'crl', '--issuer', '--root')).exitCode).toBe(2)
  expect((await rootling(world, 'crl', '--der')).exitCode).toBe(2)
  const nowhere = await rootling(world, 'crl', '--out', world.path('none/local.crl'))
  expect([nowhere.exitCode, nowhere.stderr]).toEqual([1, expect.stringMatching(/does not exist/)])
})

test('issue --revocation-url names the responder, and show says so', async () => {
  const world = await makeWorld()
  const cert = ['--cert-file', world.path('a.pem'), '--key-file', world.path('a-key.pem')]
  const url = ['--revocation-url', 'http://localhost:14680']
  expect((await rootling(world, 'issue', 'localhost', ...cert, ...url)).exitCode).toBe(0)
  const shown = await rootling(world, 'show', world.path('a.pem'))
  expect(shown.stdout).toMatch(
    /http:\/\/localhost:14680\/ocsp, http:\/\/localhost:14680\/local\.crl/,
  )
  expect(shown.stdout).toMatch(/issued by +O=Rootling.*\(our root\s+local\s+\(\w{8}:\w{8}\)\)/)
  const json = await rootling(world, 'show', world.path('a.pem'), '--json')
  expect(JSON.parse(json.stdout)).toMatchObject({
    from: 'file',
    certificates: [{ role: 'leaf', issuedHere: true, findings: [] }, { role: 'intermediate' }],
  })
  const refused = await rootling(world, 'issue', 'localhost', '--self-signed', ...url)
  expect(refused.exitCode).toBe(2)
})

test('the handler stands in anybody’s HTTP server', async () => {
  const world = await makeWorld()
  const handler = createRevocationHandler({
    storage: fileStorage(world.state),
    now: () => new Date(),
  })
  const server = createServer(handler).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const response = await fetch(`http://127.0.0.1:${port}/local.crl`)
  expect([response.status, response.headers.get('content-type')]).toEqual([
    200,
    'application/pkix-crl',
  ])
})
