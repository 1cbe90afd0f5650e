import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openScope } from '../../../src/authority/scope.ts'
import { hasIpv6Loopback, startHttpsServer, type TestServer } from '../../helpers/https-server.ts'
import { long } from '../../helpers/long.ts'
import { namespaceUnavailable, openNamespace, type Namespace } from '../../helpers/namespace.ts'
import { rootlingIn, storeTrees, summary, type Rootling } from '../../helpers/rootling.ts'
import { findRoot } from '../../helpers/store-contents.ts'
import { everyClient, visit, type ClientRow } from '../e2e/clients.ts'
import type { Client } from '../e2e/client.ts'
import { forge, type Forgery } from './forgeries.ts'
import { storeClients } from './store-clients.ts'

// A hardened authority in the real stores: every client accepts what it issues, and OpenSSL and what
// is built on it refuse the common names that a stolen key signs.

const obstacle = namespaceUnavailable()
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

const control = 'controls: a host inside'
const host = 'DNS names: a host'
const page = 'hardened'

async function rowOf(client: Client): Promise<ClientRow> {
  const unavailable = await client.unavailable()
  const title = unavailable === null ? client.name : `${client.name} [skipped: ${unavailable}]`
  return { client, unavailable, title }
}

const directory = join(tmpdir(), `rootling-hardened-${process.pid}`)
const home = join(directory, 'state')
const copies = join(home, 'scopes/local/root-openssl.pem')
const certFile = join(directory, 'good.pem')
const keyFile = join(directory, 'good-key.pem')
const rows =
  obstacle === null
    ? [
        ...(await everyClient()).filter(({ client }) => !client.name.startsWith('firefox (old')),
        ...(await Promise.all(storeClients(directory, { copies, home }).map(rowOf))),
      ]
    : []
const isJava = ({ client }: ClientRow): boolean => client.name.startsWith('java')

describe.skipIf(obstacle !== null)(`a hardened authority${skipNote}`, () => {
  let namespace: Namespace
  let rootling: Rootling
  let before: Awaited<ReturnType<typeof storeTrees>>
  let root: string
  let good: string[]
  const state = { path: home, owner: null }
  const env = { ROOTLING_HOME: home }
  const servers: TestServer[] = []
  let shown: { forgery: Forgery; url: string }[] = []

  async function listen(pair: { cert: string; key: string }): Promise<number> {
    const server = await startHttpsServer(pair, page)
    servers.push(server)
    return server.port
  }

  /** Shows every form of a common name that a thief of the scope's key can sign. */
  async function forgeCommonNames(): Promise<typeof shown> {
    const scope = await openScope(state, 'local')
    const hosts = (await forge(state, scope, new Date())).filter(
      ({ shape, title, identifier }) =>
        (shape.family === 'common names' && identifier.type === 'dns') ||
        title === control ||
        title === host,
    )
    return Promise.all(
      hosts.map(async (forgery) => {
        const { leaf, intermediate, key, asked } = forgery
        const port = await listen({ cert: leaf + intermediate, key })
        return { forgery, url: `https://${asked}:${port}/` }
      }),
    )
  }

  /** Changes the stores; again where a busy machine needed more than the minute of each tool. */
  async function change(args: readonly string[]): ReturnType<Rootling['json']> {
    const first = await rootling.json([...args, '--yes'], { env })
    const late = first.answer.stores?.some(({ reason }) => reason?.includes('gave no answer in'))
    return late === true ? change(args) : first
  }

  /** Which claims a client is shown: curl sees all, the others do in the long form. */
  const claimsFor = ({ name }: Client): typeof shown =>
    long || name === 'curl' ? shown : shown.filter(({ forgery }) => forgery.shape.short === true)

  const acceptedBy = async (client: Client): Promise<string[]> => {
    const claims = claimsFor(client)
    const verdicts = await visit(
      client,
      namespace,
      claims.map(({ url }) => url),
    )
    return claims.filter((_, i) => verdicts[i]?.trusted).map(({ forgery }) => forgery.title)
  }

  async function forms(): Promise<string[]> {
    const pem = `${await readFile(join(home, 'scopes/local/root.pem'), 'utf8')}${await readFile(copies, 'utf8')}`
    return pem.match(/-----BEGIN[^]+?-----END CERTIFICATE-----\n/g) ?? []
  }

  beforeAll(async () => {
    await mkdir(directory)
    namespace = await openNamespace()
    rootling = rootlingIn(namespace)
    for (const name of [
      'app.rootling.test',
      'app.localhost',
      'bank.com',
      'www.bank.com',
      'bank',
      'a_b.bank.com',
    ])
      await namespace.addHost(name, '127.0.0.1')
    before = await storeTrees(namespace)
    const { exitCode, answer } = await change(['install', '--harden'])
    if (exitCode !== 0) throw new Error(`the install failed: ${JSON.stringify(answer)}`)
    root = await readFile(join(home, 'scopes/local/root.pem'), 'utf8')
    const names = ['localhost', '127.0.0.1', '::1', 'app.rootling.test']
    const files = [`--cert-file=${certFile}`, `--key-file=${keyFile}`]
    await rootling.must(['issue', ...names, ...files], { env })
    const [cert, key] = await Promise.all([certFile, keyFile].map((file) => readFile(file, 'utf8')))
    const port = await listen({ cert: cert ?? '', key: key ?? '' })
    const hosts = ['localhost', '127.0.0.1', ...(hasIpv6Loopback() ? ['[::1]'] : [])]
    good = [...hosts, 'app.rootling.test'].map((host) => `https://${host}:${port}/`)
    shown = await forgeCommonNames()
  })
  afterAll(async () => {
    for (const server of servers) await server.close()
    await namespace?.close()
    await rm(directory, { recursive: true, force: true })
  })

  test('is trusted by every store, and an install again changes nothing', async () => {
    const { exitCode, answer } = await rootling.json(['status'], { env })
    expect([exitCode, summary(answer).filter((row) => /not-trusted|failed/.test(row))]).toEqual([
      0,
      [],
    ])
    expect(answer.scopes).toMatchObject([{ name: 'local', hardened: true }])
    const trees = await storeTrees(namespace)
    expect((await rootling.json(['install', '--harden', '--yes'], { env })).exitCode).toBe(0)
    expect(await storeTrees(namespace)).toEqual(trees)
  })

  for (const row of rows) {
    const { client, unavailable, title } = row
    test.skipIf(unavailable !== null)(`${title} accepts its certificates`, async () => {
      // PHP sends the host name `[::1]` in its handshake, with the brackets, and gets no answer.
      const urls = good.filter((url) => client.name !== 'php' || !url.includes('['))
      const verdicts = await visit(client, namespace, urls)
      expect(verdicts).toEqual(urls.map(() => ({ trusted: true, body: expect.any(String) })))
    })

    if (!isJava(row))
      test.skipIf(unavailable !== null)(
        `${title} refuses every form of a common name that a stolen key signs`,
        async () => {
          expect(shown.length).toBeGreaterThan(20)
          expect(claimsFor(client).length).toBeGreaterThan(5)
          expect(await acceptedBy(client)).toEqual([control])
        },
      )
    else
      test.skipIf(unavailable !== null)(
        `${title} still takes wildcards in common names for hosts, but no other name outside`,
        async () => {
          const accepted = await acceptedBy(client)
          expect(accepted).toContain('common names: a wildcard')
          expect(accepted).toContain(control)
          expect(accepted).not.toContain(host)
          expect(accepted).not.toContain('common names: a CN')
        },
      )
  }

  test.each([[], ['-x509_strict']])(
    'openssl verify %s accepts its certificates and no common name, by the store',
    async (...flags) => {
      const verify = async (chain: string, name: string): Promise<boolean> => {
        const file = join(directory, 'verified.pem')
        await writeFile(file, chain)
        const args = ['verify', ...flags, '-purpose', 'sslserver', '-verify_hostname', name]
        const { exitCode } = await namespace.run('openssl', [...args, '-untrusted', file, file])
        return exitCode === 0
      }
      expect(await verify(await readFile(certFile, 'utf8'), 'app.rootling.test')).toBe(true)
      const accepted: string[] = []
      for (const { forgery } of shown)
        if (await verify(forgery.leaf + forgery.intermediate, forgery.asked))
          accepted.push(forgery.title)
      expect(accepted).toEqual([control])
    },
  )

  test('shows its certificate, its intermediate and its root without a finding', async () => {
    for (const file of [certFile, join(home, 'scopes/local/root.pem')]) {
      const { stdout } = await rootling.must(['show', file, '--json'], { env })
      const { certificates } = JSON.parse(stdout) as {
        certificates: { role: string; chain: string; findings: { code: string }[] }[]
      }
      expect(certificates.map(({ chain }) => chain)).toEqual(certificates.map(() => 'complete'))
      expect(certificates.flatMap(({ findings }) => findings.map(({ code }) => code))).toEqual(
        file === certFile ? ['ip-under-constraints'] : [],
      )
    }
  })

  test('becomes an ordinary one and a hardened one again, without a gap', async () => {
    const system = { exitCode: 0, refusals: 0, rounds: 0 }
    for (const [flag, hardened] of [
      ['--no-harden', false],
      ['--harden', true],
    ] as const) {
      const rotation = change(['ca', 'rotate', flag])
      let running = true
      void rotation.finally(() => (running = false))
      while (running) {
        system.rounds++
        const copy = join(directory, 'copy.pem')
        await writeFile(copy, await readFile(certFile))
        const trust = ['-no-CApath', '-no-CAstore', '-CAfile', '/etc/ssl/certs/ca-certificates.crt']
        const args = ['verify', ...trust, '-verify_hostname', 'localhost', '-untrusted', copy, copy]
        if ((await namespace.run('openssl', args)).exitCode !== 0) system.refusals++
      }
      const { exitCode, answer } = await rotation
      expect(answer.stores?.filter(({ outcome }) => outcome === 'failed')).toEqual([])
      expect(exitCode).toBe(0)
      const { stdout } = await rootling.must(['ca', 'list', '--json'], { env })
      expect(JSON.parse(stdout)).toMatchObject({ scopes: [{ name: 'local', hardened }] })
      shown = await forgeCommonNames()
      const curl = rows.find(({ client }) => client.name === 'curl')?.client as Client
      // The positive control of all the refusals above: without the copies, curl accepts these.
      if (hardened) expect(await acceptedBy(curl)).toEqual([control])
      else
        expect(await acceptedBy(curl)).toEqual(
          expect.arrayContaining([
            control,
            'common names: a wildcard',
            'common names: a wildcard after another CN',
            'common names: a wildcard beside a mailbox inside',
          ]),
        )
    }
    expect(system.refusals).toBe(0)
    expect(system.rounds).toBeGreaterThan(10)
    expect(await findRoot(namespace, root)).toEqual([])
  })

  test('is refused on a relative of Debian, where it was not tried', async () => {
    // A new file takes the place of the link, which leads out of the namespace.
    const other = `sed 's/^ID=debian/ID=ubuntu/' /usr/lib/os-release > /etc/new && mv /etc/new /etc/os-release`
    await namespace.must('sh', ['-c', other])
    const { exitCode, stderr } = await rootling.run(['install', '--harden', '--ca', 'other', '-y'])
    await namespace.must('ln', ['-sfn', '../usr/lib/os-release', '/etc/os-release'])
    expect([exitCode, stderr]).toEqual([
      2,
      expect.stringContaining(
        '--harden was tried on Debian 12 and 13 alone, not with System store',
      ),
    ])
    expect(await namespace.readTree(join(namespace.home, '.local/share/rootling'))).toEqual({})
  })

  test('leaves nothing in any store after an uninstall', async () => {
    const certificates = await forms()
    expect(certificates).toHaveLength(3)
    const { exitCode, answer } = await change(['uninstall'])
    expect([exitCode, summary(answer).filter((row) => row.endsWith('failed'))]).toEqual([0, []])
    for (const certificate of certificates)
      expect(await findRoot(namespace, certificate)).toEqual([])
    const named = (trees: typeof before): string[] =>
      Object.keys(trees).filter((path) => /^rootling-[0-9a-f]{8}\./.test(basename(path)))
    expect(named(await storeTrees(namespace))).toEqual(named(before))
  })
})
