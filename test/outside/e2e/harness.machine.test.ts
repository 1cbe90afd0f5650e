import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { snapshotHost } from '../../helpers/host-snapshot.ts'
import { hasIpv6Loopback, startHttpsServer } from '../../helpers/https-server.ts'
import type { TestServer } from '../../helpers/https-server.ts'
import { namespaceUnavailable, openNamespace } from '../../helpers/namespace.ts'
import type { Namespace } from '../../helpers/namespace.ts'
import { createOpensslCa } from '../../helpers/openssl-ca.ts'
import type { OpensslCa } from '../../helpers/openssl-ca.ts'
import { findRoot } from '../../helpers/store-contents.ts'
import type { Tree } from '../../helpers/tree.ts'
import { everyClient, visit } from './clients.ts'
import { distrustByHand, trustByHand } from './manual-trust.ts'

// This file proves the harness, with no code of ours under test: a client that trusts or refuses
// for the wrong reason would make every end-to-end test worthless.

const noNamespace = namespaceUnavailable()
const rows = noNamespace === null ? await everyClient() : []
const named = 'app.rootling.test'
const misnamed = 'other.rootling.test'
const hosts = ['localhost', '127.0.0.1', ...(hasIpv6Loopback() ? ['[::1]'] : []), named]
const urls = (port: number) => hosts.map((host) => `https://${host}:${port}/`)
const body = 'hello from the test server'
const ran = (name: string) =>
  rows.some(({ client, unavailable }) => client.name.startsWith(name) && unavailable === null)

describe.skipIf(noNamespace !== null)(
  `the harness${noNamespace ? ` [${noNamespace}]` : ''}`,
  () => {
    let before: Tree
    let namespace: Namespace
    let ca: OpensslCa
    let stranger: OpensslCa
    let server: TestServer
    let strangeServer: TestServer

    beforeAll(async () => {
      before = await snapshotHost()
      namespace = await openNamespace()
      await namespace.addHost(named, '127.0.0.1')
      await namespace.addHost(misnamed, '127.0.0.1')
      ca = await createOpensslCa('Harness root')
      stranger = await createOpensslCa('Stranger root')
      const names = ['localhost', '127.0.0.1', '::1', named]
      server = await startHttpsServer(await ca.issue(names), body)
      strangeServer = await startHttpsServer(await stranger.issue(names), body)
    })

    afterAll(async () => {
      await namespace?.close()
      await server?.close()
      await strangeServer?.close()
      ca?.remove()
      stranger?.remove()
    })

    test('writes inside that the machine does not see', async () => {
      await namespace.writeFile('/etc/ssl/rootling-harness/a.txt', 'inside')
      expect(await namespace.readFile('/etc/ssl/rootling-harness/a.txt')).toBe('inside')
      expect(Object.keys(await namespace.readTree('/etc/ssl/rootling-harness'))).toHaveLength(2)
      expect(await snapshotHost()).toEqual(before)
    })

    test('gives clients an environment without any variable that names a certificate', async () => {
      const { stdout } = await namespace.must('env', [])
      expect(stdout).not.toMatch(/CERT|_CA_|CAINFO|BUNDLE|JAVA|NODE|proxy|XDG/i)
    })

    const noIpv6 = hasIpv6Loopback() ? '' : ' [skipped: this machine has no ::1]'
    test.skipIf(noIpv6 !== '')(`visits [::1] like the other hosts${noIpv6}`, () => {
      expect(hosts).toContain('[::1]')
    })

    describe('before the root is trusted', () => {
      for (const { client, unavailable, title } of rows.filter(({ client }) => !client.bornLater)) {
        test.skipIf(unavailable !== null)(
          `${title} refuses every URL, and does not take a closed port for a refusal`,
          async () => {
            const closed = await startHttpsServer({}, body)
            await closed.close()
            const session = await client.open(namespace)
            try {
              for (const url of urls(server.port))
                expect([url, (await session.fetch(url)).trusted]).toEqual([url, false])
              const [nobody = ''] = urls(closed.port)
              await expect(session.fetch(nobody)).rejects.toThrow(/neither fetched/)
            } finally {
              await session.close()
            }
          },
        )
      }
    })

    describe('when the root is trusted', () => {
      beforeAll(() => trustByHand(namespace, ca.root))

      for (const { client, unavailable, title } of rows) {
        test.skipIf(unavailable !== null)(
          `${title} accepts every URL, but no other root and no other name`,
          async () => {
            const strange = urls(strangeServer.port)
            const wrongName = `https://${misnamed}:${server.port}/`
            const visited = [...urls(server.port), ...strange, wrongName]
            const verdicts = await visit(client, namespace, visited)
            expect(verdicts.map(({ trusted }) => trusted)).toEqual([
              ...hosts.map(() => true),
              ...strange.map(() => false),
              false,
            ])
            // git finds no repository, so it has nothing to print.
            const expected = client.name === 'git' ? '' : body
            const bodies = verdicts.flatMap((verdict) => (verdict.trusted ? [verdict.body] : []))
            expect(bodies).toEqual(hosts.map(() => expected))
          },
        )
      }
    })

    test('finds the root in every kind of store while it is trusted', async () => {
      const places = (await findRoot(namespace, ca.root)).join('\n')
      const kinds = [
        /^\/etc\/ssl\/certs\/ca-certificates\.crt$/m,
        ...(ran('chromium') ? [/^nss:.*pki\/nssdb$/m] : []),
        ...(ran('firefox (new profile)') ? [/^nss:.*\.old$/m, /^nss:.*\.new$/m] : []),
        ...(ran('java') ? [/^java:/m] : []),
      ]
      for (const kind of kinds) expect(places).toMatch(kind)
      expect(await findRoot(namespace, stranger.root)).toEqual([])
    })

    describe('when the root is no longer trusted', () => {
      beforeAll(() => distrustByHand(namespace, 'Harness root - Rootling tests'))

      for (const { client, unavailable, title } of rows) {
        test.skipIf(unavailable !== null)(`${title} refuses every URL`, async () => {
          const verdicts = await visit(client, namespace, urls(server.port))
          expect(verdicts.map(({ trusted }) => trusted)).toEqual(hosts.map(() => false))
        })
      }
    })

    test('finds the root in no store any more', async () => {
      expect(await findRoot(namespace, ca.root)).toEqual([])
    })

    test('left the stores of the machine as they were', async () => {
      expect(await snapshotHost()).toEqual(before)
    })
  },
)
