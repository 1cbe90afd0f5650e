import { checkServerIdentity } from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { snapshotHost } from '../../helpers/host-snapshot.ts'
import { hasIpv6Loopback, startHttpsServer } from '../../helpers/https-server.ts'
import type { TestServer } from '../../helpers/https-server.ts'
import { milestone } from '../../helpers/milestone.ts'
import { namespaceUnavailable, openNamespace } from '../../helpers/namespace.ts'
import type { Namespace } from '../../helpers/namespace.ts'
import { createOpensslCa } from '../../helpers/openssl-ca.ts'
import type { OpensslCa } from '../../helpers/openssl-ca.ts'
import { findRoot } from '../../helpers/store-contents.ts'
import type { Tree } from '../../helpers/tree.ts'
import type { Client } from './client.ts'
import { everyClient, visit } from './clients.ts'
import { createAuthority, rootlingIn, storeTrees, summary } from '../../helpers/rootling.ts'
import type { Rootling, Serving } from '../../helpers/rootling.ts'
import { signWithStolenKey } from './stolen-key.ts'

// The main job with the built command and the machine's real tools and browsers: nothing is told
// of our root but through the stores that `rootling install` writes.

const noNamespace = namespaceUnavailable()
const rows = noNamespace === null ? await everyClient() : []
const runnable = rows.filter(({ unavailable }) => unavailable === null)
const ran = (name: string) => runnable.some(({ client }) => client.name.startsWith(name))

const named = 'app.rootling.test'
const permitted = 'api.dev.example.com'
const bank = 'bank.example.org'
const hosts = ['localhost', '127.0.0.1', ...(hasIpv6Loopback() ? ['[::1]'] : []), named]
const page = 'This connection is secured'

/**
 * The Node 20.19 of Debian 13 takes an IPv6 address for the name of a host, and so refuses every server at
 * one, whoever signed its certificate.
 */
const nodeKnowsIpv6 =
  checkServerIdentity('::1', {
    subject: {},
    subjectaltname: 'IP Address:0:0:0:0:0:0:0:1',
  } as never) === undefined
const isWrong = (client: Client, url: string): boolean =>
  client.name.startsWith('node ') && url.includes('[::1]') && !nodeKnowsIpv6

const skipNote = noNamespace === null ? '' : ` [skipped: ${noNamespace}]`

describe.skipIf(noNamespace !== null)(`the main job${skipNote}`, () => {
  let before: Tree
  let namespace: Namespace
  let rootling: Rootling
  let stranger: OpensslCa
  let root: string
  let workRoot: string
  const install = milestone('the install')
  const permission = milestone('the permission')
  const uninstall = milestone('the uninstall')
  const running: Serving[] = []
  const servers: TestServer[] = []
  const urls = { issued: [''], plain: '', strange: [''], work: '', inside: '', outside: '' }

  const at = (names: readonly string[], port: number) =>
    names.map((name) => `https://${name}:${port}/`)

  async function serve(...args: string[]): Promise<Serving> {
    const serving = await rootling.serve(args)
    running.push(serving)
    return serving
  }

  async function listen(pair: { key: string; cert: string }): Promise<number> {
    const server = await startHttpsServer(pair, page)
    servers.push(server)
    return server.port
  }

  async function verdicts(client: Client, visited: readonly string[]): Promise<boolean[]> {
    return (await visit(client, namespace, visited)).map(({ trusted }) => trusted)
  }

  // Every server is up before any root is trusted: what changes later is the trust alone.
  beforeAll(async () => {
    before = await snapshotHost()
    namespace = await openNamespace({ publicRoots: 'all' })
    rootling = rootlingIn(namespace)
    const scopes = await createAuthority(namespace)
    root = (await namespace.readFile(`${scopes}/local/root.pem`)) ?? ''
    for (const name of [named, permitted, bank]) await namespace.addHost(name, '127.0.0.1')
    await namespace.must('mkdir', [`${namespace.home}/certs`])
    const names = ['localhost', '127.0.0.1', '::1', named]
    const files = [`--cert-file=${namespace.home}/a.pem`, `--key-file=${namespace.home}/a-key.pem`]
    await rootling.must(['issue', ...names, ...files])
    const pair = [`--cert=${namespace.home}/a.pem`, `--key=${namespace.home}/a-key.pem`]
    const { port } = await serve(...pair, '--port=0')
    if (hasIpv6Loopback()) await serve(...pair, `--port=${port}`, '--host=::1')
    urls.issued = at(hosts, port)
    urls.plain = `https://localhost:${(await serve('--port=0')).port}/`
    stranger = await createOpensslCa('Stranger root')
    urls.strange = at(hosts, await listen(await stranger.issue(names)))
    const inside = await signWithStolenKey(namespace, `${scopes}/local`, named)
    urls.inside = `https://${named}:${await listen(inside)}/`
    const outside = await signWithStolenKey(namespace, `${scopes}/local`, bank)
    urls.outside = `https://${bank}:${await listen(outside)}/`
  })

  afterAll(async () => {
    for (const serving of running) serving.close()
    await namespace?.close()
    for (const server of servers) await server.close()
    stranger?.remove()
  })

  describe('before the install', () => {
    for (const { client, unavailable, title } of rows.filter(({ client }) => !client.bornLater)) {
      test.skipIf(unavailable !== null)(`${title} refuses our servers`, async () => {
        expect(await verdicts(client, urls.issued)).toEqual(hosts.map(() => false))
      })
    }

    test('status says that no store trusts the root, and exits with 4', async () => {
      const { exitCode, answer } = await rootling.json(['status'])
      expect(exitCode).toBe(4)
      expect(summary(answer).filter((row) => row.endsWith(' trusted'))).toEqual([])
      expect(summary(answer)).toContain('system not-trusted')
    })
  })

  describe('the install', () => {
    test('trusts the root in every store, and says so of each', async () => {
      const { exitCode, answer } = await rootling.json(['install', '--yes'])
      expect(answer.stores?.filter(({ outcome }) => outcome === 'failed')).toEqual([])
      expect(exitCode).toBe(0)
      expect(answer).toMatchObject({ ok: true, created: false, warnings: [] })
      const places = (await findRoot(namespace, root)).join('\n')
      const kinds: readonly (readonly [string, RegExp, boolean])[] = [
        ['system', /^\/etc\/ssl\/certs\/ca-certificates\.crt$/m, true],
        ['nss', /^nss:.*pki\/nssdb$/m, ran('chromium')],
        ['nss', /^nss:.*\.old$/m, ran('firefox')],
        ['nss', /^\/etc\/firefox\/policies\/rootling-[0-9a-f]{8}\.crt$/m, ran('firefox')],
        ['java', /^java:/m, ran('java')],
      ]
      for (const [kind, place] of kinds.filter(([, , expected]) => expected)) {
        expect(summary(answer)).toContain(`${kind} installed`)
        expect(places).toMatch(place)
      }
      install.reached()
    })

    test('done again changes no byte of any store', async () => {
      install.required()
      const trees = await storeTrees(namespace)
      const { exitCode, answer } = await rootling.json(['install', '--yes'])
      expect(exitCode).toBe(0)
      expect(summary(answer).filter((row) => !row.endsWith(' skipped'))).toEqual(
        expect.arrayContaining(['system already-installed']),
      )
      expect(summary(answer).filter((row) => row.endsWith(' installed'))).toEqual([])
      expect(await storeTrees(namespace)).toEqual(trees)
    })

    test('refuses a name outside every scope, and tells the command that permits it', async () => {
      const files = ['--out-dir', `${namespace.home}/certs`]
      const { exitCode, answer } = await rootling.json(['issue', permitted, ...files])
      expect(exitCode).toBe(1)
      expect(answer.error).toMatchObject({ code: 'not-permitted' })
      expect(answer.error?.hint).toContain(`rootling ca permit ${permitted}`)
      expect(Object.keys(await namespace.readTree(`${namespace.home}/certs`))).toHaveLength(1)
    })

    test('a permitted domain gets a root of its own beside the first', async () => {
      install.required()
      const permit = ['ca', 'permit', 'dev.example.com', '--name', 'work', '--yes']
      const { exitCode, answer } = await rootling.json(permit)
      expect(exitCode).toBe(0)
      expect(answer.scopes?.map(({ name }) => name)).toEqual(['work'])
      workRoot = (await namespace.readFile(answer.scopes?.[0]?.rootPath ?? '')) ?? ''
      expect(workRoot).not.toBe(root)
      urls.work = `https://${permitted}:${(await serve(permitted, '--port=0')).port}/`
      permission.reached()
    })
  })

  describe('after the install', () => {
    beforeEach(() => {
      install.required()
      permission.required()
    })

    for (const { client, unavailable, title } of rows) {
      test.skipIf(unavailable !== null)(
        `${title} trusts our servers, but neither a stranger nor a stolen key for a bank`,
        async () => {
          const trusted = [...urls.issued, urls.plain, urls.work, urls.inside]
          const refused = [...urls.strange, urls.outside]
          const found = await visit(client, namespace, [...trusted, ...refused])
          expect(found.map((verdict) => verdict.trusted)).toEqual([
            ...trusted.map((url) => !isWrong(client, url)),
            ...refused.map(() => false),
          ])
          // git finds no repository, so it has nothing to print.
          const expected = client.name === 'git' ? '' : page
          for (const verdict of found.filter((each) => each.trusted))
            expect(verdict).toMatchObject({ body: expect.stringContaining(expected) })
        },
      )
    }

    test('status says that every store trusts both roots, and exits with 0', async () => {
      const { exitCode, answer } = await rootling.json(['status'])
      expect(exitCode).toBe(0)
      expect(summary(answer).filter((row) => !/ (?:trusted|skipped)$/.test(row))).toEqual([])
      expect(answer.scopes?.map(({ name }) => name)).toEqual(['local', 'work'])
    })

    const noCertutil = ran('chromium') ? '' : ' [skipped: no Chromium here]'
    test.skipIf(noCertutil !== '')(
      `a store emptied by hand is seen by status and mended by install${noCertutil}`,
      async () => {
        const { answer } = await rootling.json(['status', '--stores', 'nss'])
        const chromium = answer.stores?.find(({ store }) => store.title.startsWith('Chromium'))
        const database = chromium?.store.id.replace('nss:', 'sql:') ?? ''
        const nickname = chromium?.anchor ?? ''
        await namespace.must('certutil', ['-D', '-d', database, '-n', nickname])
        const seen = await rootling.json(['status'])
        expect(seen.exitCode).toBe(4)
        expect(
          seen.answer.stores
            ?.filter(({ outcome }) => outcome === 'not-trusted')
            .map(({ store, anchor }) => [store.id, anchor]),
        ).toEqual([[chromium?.store.id, nickname]])
        const mended = await rootling.json(['install', '--yes'])
        expect(mended.exitCode).toBe(0)
        expect(
          mended.answer.stores
            ?.filter(({ outcome }) => outcome === 'installed')
            .map(({ store, anchor }) => [store.id, anchor]),
        ).toEqual([[chromium?.store.id, nickname]])
        expect((await rootling.run(['status'])).exitCode).toBe(0)
      },
    )

    test('list shows what was issued, and ca list where it is trusted', async () => {
      const listed = await rootling.run(['list'])
      expect(listed).toMatchObject({ exitCode: 0, stderr: '' })
      expect(listed.stdout).toContain(named)
      const scopes = await rootling.run(['ca', 'list'])
      expect(scopes.stdout).toMatch(/^local \([0-9a-f:]{17}\)\n[^]*^work \([0-9a-f:]{17}\)\n/m)
      expect(scopes.stdout).not.toContain('NOT by')
    })
  })

  describe('the uninstall', () => {
    test('deletes the authority and says so', async () => {
      const { exitCode, answer } = await rootling.json(['uninstall', '--delete-ca', '--yes'])
      expect(answer.stores?.filter(({ outcome }) => outcome === 'failed')).toEqual([])
      expect(answer).toMatchObject({ ok: true, deleted: true })
      expect(exitCode).toBe(0)
      uninstall.reached()
    })
  })

  describe('after the uninstall', () => {
    beforeEach(() => {
      permission.required()
      uninstall.required()
    })

    for (const { client, unavailable, title } of rows) {
      test.skipIf(unavailable !== null)(`${title} refuses our servers`, async () => {
        const visited = [...urls.issued, urls.plain, urls.work, urls.inside]
        expect(await verdicts(client, visited)).toEqual(visited.map(() => false))
      })
    }

    test('neither root is left anywhere', async () => {
      expect(await findRoot(namespace, root)).toEqual([])
      expect(await findRoot(namespace, workRoot)).toEqual([])
    })

    test('no file of ours is left, not even a dangling link', async () => {
      const find = 'find /etc /usr/local/share /var/lib "$HOME" -iname "*rootling*"'
      expect((await namespace.must('sh', ['-c', find])).stdout).toBe('')
      const dangling = 'find /etc/ssl /usr/local/share/ca-certificates -xtype l'
      expect((await namespace.must('sh', ['-c', dangling])).stdout).toBe('')
      expect(await namespace.readFile('/etc/firefox/policies/policies.json')).toBe(null)
    })

    test('status says that there is no authority any more', async () => {
      const { exitCode, answer } = await rootling.json(['status'])
      expect(exitCode).toBe(1)
      expect(answer.error).toMatchObject({ code: 'no-authority', hint: 'rootling install' })
    })
  })

  test('left the stores of the machine as they were', async () => {
    expect(await snapshotHost()).toEqual(before)
  })
})
