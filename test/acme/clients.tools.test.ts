import * as acmeClient from 'acme-client'
import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { Agent } from 'node:https'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { permitScope } from '../../src/authority/create.ts'
import { readInventory } from '../../src/storage/files/record.ts'
import { certIdOf } from './cert-id.ts'
import { startDaemon, type Daemon } from './daemon.ts'
import { startDnsServer, type DnsServer } from './dns-server.ts'
import { startResponder } from './responder.ts'

// Programs that nobody here wrote, with the daemon as people run it.
const hasLego = existsSync('/usr/bin/lego')
const hasCertbot = existsSync('/usr/bin/certbot')
/** Stands behind the name of a client whose tests are left out. */
const reason = (installed: boolean) => (installed ? '' : ' (not installed)')
let daemon: Daemon
let dns: DnsServer
beforeAll(async () => {
  dns = await startDnsServer()
  daemon = await startDaemon('--dns-resolver', dns.address)
})
afterAll(async () => {
  dns.close()
  await daemon.close()
})

/** What a client left on disk is on record, and how it stands there. */
async function standing(pem: string) {
  const leaf = new X509Certificate(pem)
  const serialNumber = leaf.serialNumber.toLowerCase()
  const { certificates, revocations } = await readInventory(daemon.state)
  return {
    names: leaf.subjectAltName,
    serialNumber,
    recorded: certificates.some((one) => one.serialNumber === serialNumber),
    revoked: revocations.get(serialNumber)?.reason ?? null,
  }
}

describe.skipIf(!hasLego)(`lego${reason(hasLego)}`, () => {
  const legoRun = (args: readonly string[]) =>
    daemon.run('/usr/bin/lego', args, { LEGO_CA_CERTIFICATES: daemon.rootPath })
  const common = (path: string, names: readonly string[]) => [
    ...['--server', daemon.acme, '--email', 'me@example.com', '--accept-tos'],
    ...['--path', join(daemon.directory, path), ...names.flatMap((name) => ['--domains', name])],
  ]
  const http = () => ['--http', '--http.port', `127.0.0.1:${daemon.http01}`]
  const tls = () => ['--tls', '--tls.port', `127.0.0.1:${daemon.tlsAlpn01}`]

  test.each([
    ['http-01', http],
    ['tls-alpn-01', tls],
  ] as const)('issues, renews when it is time, and revokes by %s', async (type, how) => {
    const names = [`${type}.lego.localhost`, `${type}.more.localhost`]
    const options = [...common(type, names), ...how()]
    const file = join(daemon.directory, type, 'certificates', `${names[0]}.crt`)
    const issued = await legoRun([...options, 'run'])
    expect(issued, issued.stderr).toMatchObject({ exitCode: 0 })
    const first = await standing(await readFile(file, 'utf8'))
    expect(first).toMatchObject({ recorded: true, revoked: null })
    expect(first.names).toBe(names.map((name) => `DNS:${name}`).join(', '))

    const early = await legoRun([...options, 'renew', '--no-random-sleep'])
    expect(early.stdout + early.stderr).toContain('no renewal')
    expect(await standing(await readFile(file, 'utf8'))).toEqual(first)
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

  test('binds its account to a key that the operator gave, where that is required', async () => {
    const strict = await startDaemon('--eab-required')
    onTestFinished(() => strict.close())
    const order = (path: string, ...eab: string[]) => {
      const who = ['--server', strict.acme, '--email', 'me@example.com', '--accept-tos', ...eab]
      const how = ['--http', '--http.port', `127.0.0.1:${strict.http01}`]
      const what = ['--path', join(strict.directory, path), '--domains', 'eab.localhost']
      return strict.run('/usr/bin/lego', [...who, ...what, ...how, 'run'], {
        LEGO_CA_CERTIFICATES: strict.rootPath,
      })
    }
    const unbound = await order('unbound')
    expect(unbound.exitCode).not.toBe(0)
    expect(unbound.stdout + unbound.stderr).toContain('requires External Account Binding')
    const { kid, hmacKey } = await strict.rootling('acme', 'eab', 'create')
    const wrong = Buffer.alloc(32).toString('base64url')
    const forged = await order('forged', '--eab', '--kid', String(kid), '--hmac', wrong)
    expect(forged.exitCode).not.toBe(0)
    expect(forged.stdout + forged.stderr).toContain('was not made with the key that it names')
    const bound = await order('bound', '--eab', '--kid', String(kid), '--hmac', String(hmacKey))
    expect(bound, bound.stderr).toMatchObject({ exitCode: 0 })
  })

  test('prints the sentence that says what to do, and the daemon that runs serves it once that was done', async () => {
    const order = () => legoRun([...common('x', ['dev.example.com']), ...http(), 'run'])
    dns.a.set('dev.example.com', '127.0.0.1')
    const outside = await order()
    expect(outside.exitCode).not.toBe(0)
    expect(outside.stderr + outside.stdout).toContain('rootling ca permit dev.example.com')
    await permitScope(daemon.state, { permit: ['dev.example.com'] }, new Date())
    const permitted = await order()
    expect(permitted, permitted.stderr).toMatchObject({ exitCode: 0 })
    // Older ones send addresses as names.
    const address = await legoRun([...common('y', ['127.0.0.1']), ...http(), 'run'])
    if (address.exitCode !== 0)
      expect(address.stderr + address.stdout).toContain(
        'it belongs in an identifier of the type ip',
      )
  })
})

describe.skipIf(!hasCertbot)(`certbot${reason(hasCertbot)}`, () => {
  test('issues, renews when it is time, revokes and changes its account', async () => {
    const own = join(daemon.directory, 'certbot')
    const common = [
      ...['--non-interactive', '--server', daemon.acme],
      ...['--config-dir', own, '--work-dir', join(own, 'work'), '--logs-dir', join(own, 'logs')],
    ]
    const must = async (subcommand: string, ...args: string[]) => {
      const all = [subcommand, ...common, ...args]
      const env = { REQUESTS_CA_BUNDLE: daemon.rootPath }
      const ended = await daemon.run('/usr/bin/certbot', all, env)
      const said = `${ended.stdout}${ended.stderr}`
      expect(ended, said).toMatchObject({ exitCode: 0 })
      return said
    }
    const how = ['--http-01-port', `${daemon.http01}`, '--http-01-address', '127.0.0.1']
    const names = ['-d', 'certbot.localhost', '-d', 'second.localhost', '--cert-name', 'one']
    const account = ['--agree-tos', '-m', 'me@example.com', '--no-eff-email']
    await must('certonly', '--standalone', ...how, ...names, ...account)
    const file = join(own, 'live', 'one', 'fullchain.pem')
    const first = await standing(await readFile(file, 'utf8'))
    expect(first).toMatchObject({ recorded: true, revoked: null })
    const renew = (...args: string[]) =>
      must('renew', '--no-random-sleep-on-renew', ...how, ...args)
    expect(await renew()).toContain('No renewals were attempted')
    expect(await standing(await readFile(file, 'utf8'))).toEqual(first)
    await renew('--force-renewal')
    const pem = await readFile(file, 'utf8')
    expect((await standing(pem)).serialNumber).not.toBe(first.serialNumber)
    await must('update_account', '-m', 'other@example.com', '--no-eff-email')
    await must('revoke', '--cert-name', 'one', '--reason', 'superseded', '--no-delete-after-revoke')
    expect((await standing(pem)).revoked).toBe('superseded')
    await must('unregister')
  })
})

describe('acme-client', () => {
  let client: acmeClient.Client
  beforeAll(async () => {
    acmeClient.axios.defaults.httpsAgent = new Agent({ ca: await daemon.root() })
    acmeClient.axios.defaults.proxy = false
    const accountKey = await acmeClient.crypto.createPrivateEcdsaKey()
    client = new acmeClient.Client({ directoryUrl: daemon.acme, accountKey })
  })

  test('issues, renews when it is told to, revokes and changes its key by http-01', async () => {
    const responder = await startResponder(undefined, daemon.http01)
    onTestFinished(() => responder.close())
    const altNames = ['js.localhost', 'js2.localhost']
    const [, csr] = await acmeClient.crypto.createCsr({ altNames })
    const first = await client.auto({
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
    expect(await standing(first)).toMatchObject({
      names: 'DNS:js.localhost, DNS:js2.localhost',
      recorded: true,
    })

    // It knows nothing of RFC 9773, but hands on what it is given.
    const replaces = certIdOf(new X509Certificate(first))
    const identifiers = altNames.map((value) => ({ type: 'dns', value }))
    const order = await client.createOrder({ identifiers, replaces } as never)
    expect(order).toMatchObject({ status: 'pending', replaces })
    for (const authorization of await client.getAuthorizations(order)) {
      const challenge = authorization.challenges.find(({ type }) => type === 'http-01')
      if (challenge === undefined) throw new Error('no http-01')
      const answer = await client.getChallengeKeyAuthorization(challenge)
      responder.answers.set(challenge.token, answer)
      await client.completeChallenge(challenge)
      await client.waitForValidStatus(challenge)
    }
    const [, renewal] = await acmeClient.crypto.createCsr({ altNames })
    const second = await client.getCertificate(await client.finalizeOrder(order, renewal))
    expect((await standing(second)).serialNumber).not.toBe((await standing(first)).serialNumber)
    await expect(client.createOrder({ identifiers, replaces } as never)).rejects.toThrow(
      'has been replaced before',
    )

    await client.updateAccountKey(await acmeClient.crypto.createPrivateRsaKey())
    await client.revokeCertificate(first)
    expect((await standing(first)).revoked).toBe('unspecified')
    expect((await standing(second)).revoked).toBeNull()
    expect(await client.updateAccount({ status: 'deactivated' })).toMatchObject({
      status: 'deactivated',
    })
  })

  test('gets a wildcard by dns-01', async () => {
    const accountKey = await acmeClient.crypto.createPrivateEcdsaKey('P-384')
    const other = new acmeClient.Client({ directoryUrl: daemon.acme, accountKey })
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
