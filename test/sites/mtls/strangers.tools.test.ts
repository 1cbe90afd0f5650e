import { basename } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createDemoHandler } from '../../../src/sites/demo/demo.ts'
import { createHttpsServer } from '../../../src/server/https.ts'
import { createClientGate } from '../../../src/server/mutual-tls.ts'
import { makeCredentials, type ClientKind, type Credentials } from './credentials.ts'
import { askByJava, javas, strangers, type Destination } from './strangers.ts'

let given: Credentials
beforeAll(() => {
  given = makeCredentials()
})
afterAll(() => given.authority.remove())

let to: Destination
let log: string[]

beforeEach(async () => {
  log = []
  const revoked = given.serialOf('revoked')
  const server = await createHttpsServer({
    pair: given.server,
    port: 0,
    handler: createDemoHandler(),
    clients: createClientGate({
      ca: [given.root],
      revocationOf: async (serialNumber) =>
        serialNumber === revoked
          ? { serialNumber, reason: 'superseded', revokedAt: '2026-03-01T12:00:00.000Z' }
          : null,
    }),
    onConnectionError: (error) => void log.push(error.message),
  })
  onTestFinished(() => server.close({ drainMilliseconds: 0 }))
  to = { port: server.port, root: given.rootFile, home: given.authority.directory }
})

/** What a client can read of the refusal, in the words of OpenSSL, Python, Java and Go. */
const refusals: [ClientKind | null, RegExp, RegExp][] = [
  [null, /certificate[ _]required/i, /sent no certificate/],
  ['revoked', /certificate[ _]revoked|tls: revoked certificate/i, /was revoked on/],
  ['forServers', /unsupported[ _]certificate/i, /is not for clients/],
  ['foreign', /unknown[ _]ca|tls: unknown certificate authority/i, /comes from another CA/],
  ['expired', /certificate[ _]expired|tls: expired certificate/i, /has expired/],
]

describe.each(strangers)('$name', ({ ask, unavailable }) => {
  test.skipIf(unavailable !== null)(`is answered with a certificate that holds`, async () => {
    const { outcome, said } = await ask(to, given.files.good)
    expect([outcome, said]).toEqual(['answered', expect.stringContaining('alice@example.test')])
    expect(log).toEqual([])
  })

  test.skipIf(unavailable !== null).each(refusals)(
    'is refused with certificate %s and reads %s',
    async (kind, alert, sentence) => {
      const { outcome, said } = await ask(to, kind === null ? null : given.files[kind])
      expect([outcome, said]).toEqual(['refused', expect.stringMatching(alert)])
      // Go connects again when the refusal came before it sent anything of its request.
      expect([...new Set(log)]).toEqual([expect.stringMatching(sentence)])
    },
  )
})

describe.each(javas())('%s', (home) => {
  test(`answers both of the HTTP clients of ${basename(home)}, or tells them why not`, async () => {
    const kinds = refusals.map(([kind]) => kind)
    const clients = ['good' as const, ...kinds].map(
      (kind) => [kind ?? 'none', kind === null ? null : given.files[kind]] as const,
    )
    const outcomes = await askByJava(home, to, clients)
    for (const client of ['HttpsURLConnection', 'HttpClient']) {
      expect(outcomes.get(`${client} good`)).toEqual({
        outcome: 'answered',
        said: expect.stringContaining('alice@example.test'),
      })
      for (const [kind, alert] of refusals) {
        // Java shows nothing to a server that does not name its CA.
        const told = kind === 'foreign' ? /certificate_required/ : alert
        expect(outcomes.get(`${client} ${kind ?? 'none'}`), `${client} ${kind}`).toEqual({
          outcome: 'refused',
          said: expect.stringMatching(told),
        })
      }
    }
  })
})
