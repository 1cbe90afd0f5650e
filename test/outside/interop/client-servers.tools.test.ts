import { readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { startHttpsServer } from '../../helpers/https-server.ts'
import { start, terminate, waitFor } from '../../helpers/subprocess.ts'
import { askByJava, javas } from '../../sites/mtls/strangers.ts'
import { clientServers, crlServers, openNginxWithOcsp } from './client-servers.ts'
import {
  forgeClient,
  forgeServer,
  openInteropWorld,
  type InteropWorld,
  type PairFiles,
} from './interop-world.ts'
import { noPostgres, openPostgres } from './postgres-server.ts'
import type { Running } from './server-process.ts'
import { serverVisitors, theSecret } from './server-visitors.ts'

let world: InteropWorld
const pair = (name: string): PairFiles => ({
  cert: world.tls(`${name}.pem`),
  key: world.tls(`${name}-key.pem`),
})
type Client = readonly [title: string, files: PairFiles]
/** Client certificates of the scope for clients. */
let good: readonly Client[]
/** What a server shall call these clients. */
const goodNames = {
  '--cn alice beside a mail address': 'alice',
  '--cn alice without other names': 'alice',
  'a mail address alone': 'alice@example.test',
}
/** What is signed by the intermediate of the scope for servers. */
let bad: readonly Client[]

beforeAll(async () => {
  world = await openInteropWorld()
  await world.shell(`cd tls
    rootling issue --client --cn alice --cert-file bare.pem --key-file bare-key.pem
    rootling issue --client alice@example.test --cert-file default.pem --key-file default-key.pem
    cp "$(rootling ca path)" local-root.pem
    cat clients.pem local-root.pem > both.pem`)
  good = [
    ['--cn alice beside a mail address', pair('alice@example.test-client')],
    ['--cn alice without other names', pair('bare')],
    ['a mail address alone', pair('default')],
  ]
  bad = [
    ['the certificate of a server', pair('localhost')],
    ['a forged client', await forgeClient(world, 'forged', [])],
    ['a forged client with a local name', await forgeClient(world, 'forged-local', ['localhost'])],
  ]
})

/** Returns what a server calls each of these clients, or the reason why it refused one. */
async function namesBy(
  server: Running,
  clients: readonly Client[],
): Promise<Record<string, string>> {
  const names: Record<string, string> = {}
  for (const [title, files] of clients) {
    const { name, reason } = await server.ask(files)
    names[title] = name ?? reason()
  }
  return names
}

async function expectRefused(server: Running, client: PairFiles, why: RegExp): Promise<void> {
  const { name, reason } = await server.ask(client)
  expect(name, reason()).toBeNull()
  await expect.poll(reason, { timeout: 10_000 }).toMatch(why)
}

const note = (reason: string | null): string => (reason === null ? '' : ` [skipped: ${reason}]`)

describe.each(clientServers)('$name', ({ open, unavailable, says, admits = [] }) => {
  test.skipIf(unavailable !== null)(
    `lets in clients of the client root, and nobody whom a server scope signed${note(unavailable)}`,
    async () => {
      const server = await open(world, 'clients')
      expect(await namesBy(server, good)).toEqual(goodNames)
      expect((await server.ask(null)).name).toBeNull()
      for (const [, files] of bad) await expectRefused(server, files, says.unknownCa)
    },
  )

  test.skipIf(unavailable !== null)(
    `with the root of servers among its client CAs refuses them by purpose${admits.map((title) => `, but not ${title}`).join('')}${note(unavailable)}`,
    async () => {
      const server = await open(world, 'both')
      expect(await namesBy(server, good)).toEqual(goodNames)
      const admitted = bad.filter(([title]) => admits.includes(title))
      expect(await namesBy(server, admitted)).toEqual(
        Object.fromEntries(admits.map((title) => [title, 'alice'])),
      )
      for (const client of bad)
        if (!admitted.includes(client)) await expectRefused(server, client[1], says.wrongPurpose)
    },
  )
})

const noNginx = clientServers.find(({ name }) => name === 'nginx')?.unavailable ?? null

test.skipIf(noNginx !== null)(
  `nginx that asks by OCSP refuses a client that was revoked${note(noNginx)}`,
  async () => {
    const responder = start('rootling', ['ocsp', '--port=0'], world.env)
    onTestFinished(() => terminate(responder))
    let said = ''
    responder.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
    const url = await waitFor('rootling ocsp', () => /^OCSP +(\S+)/.exec(said)?.[1] ?? null)
    await world.shell(`cd tls
      rootling issue --client --cn alice --cert-file revoked.pem --key-file revoked-key.pem`)
    const server = await openNginxWithOcsp(world, url)
    expect(await namesBy(server, good)).toEqual(goodNames)
    expect(await namesBy(server, [['not yet revoked', pair('revoked')]])).toEqual({
      'not yet revoked': 'alice',
    })
    await world.shell('rootling revoke tls/revoked.pem')
    await expectRefused(server, pair('revoked'), /certificate revoked/)
    expect(await namesBy(server, good)).toEqual(goodNames)
  },
)

describe.each(crlServers)('$name that reads lists of revoked clients', (server) => {
  const { open, unavailable, wholeChain } = server
  test.skipIf(unavailable !== null)(
    `refuses a revoked client alone with what crl prints by default${note(unavailable)}`,
    async () => {
      await world.shell(`cd tls
        rootling issue --client --cn alice --cert-file gone.pem --key-file gone-key.pem --force
        rootling revoke gone.pem
        rootling crl --scope clients --out clients-crl.pem`)
      const running = await open(world, 'clients')
      expect(await namesBy(running, good)).toEqual(goodNames)
      const { name, reason } = await running.ask(pair('gone'))
      expect(name, reason()).toBeNull()
    },
  )

  test.skipIf(unavailable !== null)(
    `${wholeChain ? 'refuses everybody' : 'lets clients in'} with crl --issuer alone${note(unavailable)}`,
    async () => {
      await world.shell('rootling crl --scope clients --issuer --out tls/clients-crl.pem')
      const { name, reason } = await (await open(world, 'clients')).ask(pair('bare'))
      expect(name, reason()).toBe(wholeChain ? null : 'alice')
    },
  )
})

test.skipIf(noPostgres !== null)(
  `PostgreSQL knows a client by the whole subject${note(noPostgres)}`,
  async () => {
    const server = await openPostgres(world, 'clients', 'template1')
    const [withMail, bare, byDefault] = good
    if (!withMail || !bare || !byDefault) throw new Error('too few clients')
    expect(Object.values(await namesBy(server, [withMail, bare]))).toEqual(['alice', 'alice'])
    await expectRefused(server, byDefault[1], /certificate authentication failed/)
  },
)

describe('a server that a thief of the client scope’s key made', () => {
  async function serve({ cert, key }: PairFiles): Promise<number> {
    const options = { cert: await readFile(cert), key: await readFile(key) }
    const server = await startHttpsServer(options, theSecret)
    onTestFinished(() => server.close())
    return server.port
  }
  const forgedPair = () => forgeServer(world, 'bank', ['localhost', 'www.bank.com'])

  describe.each(serverVisitors)('meets $name', (visitor) => {
    test.skipIf(visitor.unavailable !== null)(
      `and is refused, also where the client root is trusted${note(visitor.unavailable)}`,
      async () => {
        const [real, forged] = [await serve(pair('localhost')), await serve(await forgedPair())]
        for (const roots of ['local-root', 'both']) {
          const to = { root: world.tls(`${roots}.pem`), home: world.home }
          expect(await visitor.visit({ ...to, port: real })).toMatchObject({ outcome: 'answered' })
          const { outcome, said } = await visitor.visit({ ...to, port: forged })
          expect({ roots, outcome, said }).toEqual({
            roots,
            outcome: 'refused',
            said: expect.stringMatching(
              roots === 'both' ? visitor.wrongPurpose : visitor.unknownCa,
            ),
          })
        }
      },
    )
  })

  test.each(javas())(
    '%s accepts it where the client root is trusted, and only there',
    async (home) => {
      const forged = await serve(await forgedPair())
      const visit = async (port: number, roots: string) => {
        const to = { port, root: world.tls(`${roots}.pem`), home: world.home }
        const outcomes = await askByJava(home, to, [['none', null]])
        return [...outcomes.values()].map(({ outcome }) => outcome)
      }
      expect(await visit(forged, 'local-root')).toEqual(['refused', 'refused'])
      expect(await visit(forged, 'both')).toEqual(['answered', 'answered'])
    },
  )
})
