import * as acmeClient from 'acme-client'
import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { Agent } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { readInventory } from '../../src/storage/certificate-store.ts'
import { freePort } from '../helpers/free-port.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'
import { startDnsServer, type DnsServer } from './dns-server.ts'
import { startAcme, type Acme } from './harness.ts'
import { startResponder, type Responder } from './responder.ts'

const hasLego = existsSync('/usr/bin/lego')
const hasCertbot = existsSync('/usr/bin/certbot')
/** Stands behind the name of a client whose tests are left out. */
const reason = (installed: boolean) => (installed ? '' : ' (not installed)')
let acme: Acme
let ports: { http: number; tls: number }
let dns: DnsServer
let directory: string
beforeAll(async () => {
  ports = { http: await freePort(), tls: await freePort() }
  dns = await startDnsServer()
  acme = await startAcme({
    options: { http01Port: ports.http, tlsAlpn01Port: ports.tls, dnsResolver: dns.address },
  })
  directory = await mkdtemp(join(tmpdir(), 'rootling-acme-clients-'))
})
afterAll(async () => {
  await acme.close()
  dns.close()
  await rm(directory, { recursive: true, force: true })
})

/** What a client left on disk is on record, and how it stands there. */
async function standing(pem: string) {
  const leaf = new X509Certificate(pem)
  const serialNumber = leaf.serialNumber.toLowerCase()
  const { certificates, revocations } = await readInventory(acme.state)
  return {
    names: leaf.subjectAltName,
    serialNumber,
    recorded: certificates.some((one) => one.serialNumber === serialNumber),
    revoked: revocations.get(serialNumber)?.reason ?? null,
  }
}

describe.skipIf(!hasLego)(`lego${reason(hasLego)}`, () => {
  const legoRun = (args: readonly string[]) =>
    run(
      '/usr/bin/lego',
      args,
      scrubbedEnvironment(directory, { LEGO_CA_CERTIFICATES: acme.rootPath }),
    )
  const common = (path: string, names: readonly string[]) => [
    ...['--server', acme.directory, '--email', 'me@example.com', '--accept-tos'],
    ...['--path', join(directory, path), ...names.flatMap((name) => ['--domains', name])],
  ]

  it.each([
    ['http-01', () => ['--http', '--http.port', `127.0.0.1:${ports.http}`]],
    ['tls-alpn-01', () => ['--tls', '--tls.port', `127.0.0.1:${ports.tls}`]],
  ] as const)('issues, renews and revokes by %s, and waits for nothing', async (type, how) => {
    const names = [`${type}.lego.localhost`, `${type}.more.localhost`]
    const options = [...common(type, names), ...how()]
    const file = join(directory, type, 'certificates', `${names[0]}.crt`)
    const began = performance.now()
    const issued = await legoRun([...options, 'run'])
    expect(issued, issued.stderr).toMatchObject({ exitCode: 0 })
    expect(performance.now() - began).toBeLessThan(4_000)
    const first = await standing(await readFile(file, 'utf8'))
    expect(first).toMatchObject({ recorded: true, revoked: null })
    expect(first.names).toBe(names.map((name) => `DNS:${name}`).join(', '))

    const renewed = await legoRun([...options, 'renew', '--days', '365', '--no-random-sleep'])
    expect(renewed, renewed.stderr).toMatchObject({ exitCode: 0 })
    const second = await standing(await readFile(file, 'utf8'))
    expect(second.recorded).toBe(true)
    expect(second.serialNumber).not.toBe(first.serialNumber)

    const pem = await readFile(file, 'utf8')
    const revoked = await legoRun([...options, 'revoke', '--keep'])
    expect(revoked, revoked.stderr).toMatchObject({ exitCode: 0 })
    expect((await standing(pem)).revoked).toBe('unspecified')
  })

  it('binds its account to a key that the operator gave', async () => {
    const { kid, hmacKey } = await acme.server.createEabKey()
    const eab = ['--eab', '--kid', kid, '--hmac', hmacKey]
    const how = ['--http', '--http.port', `127.0.0.1:${ports.http}`]
    const issued = await legoRun([...common('eab', ['eab.localhost']), ...eab, ...how, 'run'])
    expect(issued, issued.stderr).toMatchObject({ exitCode: 0 })
  })

  it('prints the sentence that says what to do', async () => {
    const how = ['--http', '--http.port', `127.0.0.1:${ports.http}`]
    const outside = await legoRun([...common('x', ['dev.example.com']), ...how, 'run'])
    expect(outside.exitCode).not.toBe(0)
    expect(outside.stderr + outside.stdout).toContain('rootling ca permit dev.example.com')
    // Older ones send addresses as names.
    const address = await legoRun([...common('y', ['127.0.0.1']), ...how, 'run'])
    if (address.exitCode !== 0)
      expect(address.stderr + address.stdout).toContain(
        'it belongs in an identifier of the type ip',
      )
  })
})

describe.skipIf(!hasCertbot)(`certbot${reason(hasCertbot)}`, () => {
  it('issues, renews, revokes and changes its account', async () => {
    const env = scrubbedEnvironment(directory, { REQUESTS_CA_BUNDLE: acme.rootPath })
    const own = join(directory, 'certbot')
    const common = [
      ...['--non-interactive', '--server', acme.directory],
      ...['--config-dir', own, '--work-dir', join(own, 'work'), '--logs-dir', join(own, 'logs')],
    ]
    const must = async (command: string, ...args: string[]) => {
      const ended = await run('/usr/bin/certbot', [command, ...common, ...args], env)
      expect(ended, `${ended.stdout}${ended.stderr}`).toMatchObject({ exitCode: 0 })
    }
    const how = ['--http-01-port', String(ports.http), '--http-01-address', '127.0.0.1']
    const names = ['-d', 'certbot.localhost', '-d', 'second.localhost', '--cert-name', 'one']
    const account = ['--agree-tos', '-m', 'me@example.com', '--no-eff-email']
    await must('certonly', '--standalone', ...how, ...names, ...account)
    const file = join(own, 'live', 'one', 'fullchain.pem')
    const first = await standing(await readFile(file, 'utf8'))
    expect(first).toMatchObject({ recorded: true, revoked: null })
    await must('renew', '--force-renewal', '--no-random-sleep-on-renew', ...how)
    const pem = await readFile(file, 'utf8')
    expect((await standing(pem)).serialNumber).not.toBe(first.serialNumber)
    await must('update_account', '-m', 'other@example.com', '--no-eff-email')
    await must('revoke', '--cert-name', 'one', '--reason', 'superseded', '--no-delete-after-revoke')
    expect((await standing(pem)).revoked).toBe('superseded')
    await must('unregister')
  }, 90_000)
})

describe('acme-client', () => {
  let responder: Responder
  let client: acmeClient.Client
  beforeAll(async () => {
    acmeClient.axios.defaults.httpsAgent = new Agent({ ca: acme.root })
    acmeClient.axios.defaults.proxy = false
    const accountKey = await acmeClient.crypto.createPrivateEcdsaKey()
    client = new acmeClient.Client({ directoryUrl: acme.directory, accountKey })
  })

  it('issues, revokes and changes its key by http-01', async () => {
    responder = await startResponder(undefined, ports.http)
    onTestFinished(() => responder.close())
    const [, csr] = await acmeClient.crypto.createCsr({
      altNames: ['js.localhost', 'js2.localhost'],
    })
    const chain = await client.auto({
      csr,
      email: 'me@example.com',
      termsOfServiceAgreed: true,
      skipChallengeVerification: true,
      challengePriority: ['http-01'],
      challengeCreateFn: async (_, challenge, answer) => {
        responder.answers.set(challenge.token, answer)
      },
      challengeRemoveFn: async (_, { token }) => void responder.answers.delete(token),
    })
    expect(await standing(chain)).toMatchObject({
      names: 'DNS:js.localhost, DNS:js2.localhost',
      recorded: true,
    })
    await client.updateAccountKey(await acmeClient.crypto.createPrivateRsaKey())
    await client.revokeCertificate(chain)
    expect((await standing(chain)).revoked).toBe('unspecified')
    expect(await client.updateAccount({ status: 'deactivated' })).toMatchObject({
      status: 'deactivated',
    })
  })

  it('gets a wildcard by dns-01', async () => {
    const accountKey = await acmeClient.crypto.createPrivateEcdsaKey('P-384')
    const other = new acmeClient.Client({ directoryUrl: acme.directory, accountKey })
    const names = ['*.star.localhost', 'star.localhost']
    const [, csr] = await acmeClient.crypto.createCsr({ altNames: names })
    const chain = await other.auto({
      csr,
      termsOfServiceAgreed: true,
      skipChallengeVerification: true,
      challengePriority: ['dns-01'],
      challengeCreateFn: async ({ identifier }, _, answer) => {
        const record = `_acme-challenge.${identifier.value}`
        dns.txt.set(record, [...(dns.txt.get(record) ?? []), answer])
      },
      challengeRemoveFn: async () => undefined,
    })
    expect((await standing(chain)).names).toBe('DNS:*.star.localhost, DNS:star.localhost')
  })
})
