import { once } from 'node:events'
import { connect as connectTcp, type AddressInfo } from 'node:net'
import { connect, createServer } from 'node:tls'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ensureAuthority } from '../../../src/authority/create.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { findVerifiers } from '../interop/verifiers.ts'
import { forge, type Forgery } from './forgeries.ts'

// The thief of the only key on disk signs what they like; everybody's verifier refuses it.

const { found, missing } = await findVerifiers()
// Node's X509Certificate reads no constraints; its handshake, which does, is asked below.
const verifiers = found.filter(({ name }) => !name.startsWith('X509Certificate'))
const note = missing.length === 0 ? '' : ` [not here: ${missing.join(', ')}]`

let directory: string
let forgeries: Forgery[]

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rootling-thief-'))
  const state = { path: join(directory, 'state'), owner: null }
  const now = new Date()
  const { scope } = await ensureAuthority(state, now)
  forgeries = await forge(state, scope, now)
})
afterAll(() => rm(directory, { recursive: true, force: true }))

/** What a verifier is not asked by its program, so that it cannot refuse it either. */
const beyond: readonly (readonly [verifier: RegExp, title: RegExp, reason: string])[] = [
  [/NSS/, /CN|directory name/, 'vfychain is not asked for a name, and the chain claims none'],
  [/NSS/, /^a NUL before/, 'vfychain is not asked for a name, and this one ends like one inside'],
  [/GnuTLS/, /^a URI$/, 'GnuTLS does not hold URIs to name constraints'],
]

/**
 * What a stolen key can sign outside all the same, as SECURITY.md says. OpenSSL takes a CN for a
 * host when there is no DNS name, and holds only a CN that looks like a host to name constraints:
 * a wildcard, a trailing dot or a single label does not.
 */
const holes: readonly (readonly [verifier: RegExp, titles: readonly string[]])[] = [
  [
    /^openssl/,
    [
      'a wildcard as CN, without names',
      'a wildcard as CN, beside an address inside',
      'a CN of one label',
    ],
  ],
  [
    /^Node$/,
    [
      'a wildcard as CN, without names',
      'a wildcard as CN, beside an address inside',
      'a CN with a trailing dot',
      'a CN of one label',
    ],
  ],
]

const acceptedBy = (name: string): readonly string[] => [
  'control: a name inside',
  ...(holes.find(([verifier]) => verifier.test(name))?.[1] ?? []),
]

test.each(verifiers)(
  `$name refuses every form of a name that a stolen key signs outside, but CNs where it is told${note}`,
  async ({ name, verdicts }) => {
    const asked = forgeries.filter(
      ({ title }) => !beyond.some(([who, what]) => who.test(name) && what.test(title)),
    )
    expect(asked.length).toBeGreaterThanOrEqual(forgeries.length - 10)
    const said = await verdicts(await temporaryDirectory(), asked)
    const accepted = asked.filter((_, i) => said[i] === null).map(({ title }) => title)
    expect(accepted).toEqual(acceptedBy(name))
  },
)

test('a Node client refuses every form of a name that a stolen key signs outside, but CNs', async () => {
  const accepted: string[] = []
  for (const forgery of forgeries) {
    const { type } = forgery.identifier
    if (type !== 'dns' && type !== 'ip') continue
    if ((await handshake(forgery)) === null) accepted.push(forgery.title)
  }
  expect(accepted).toEqual(acceptedBy('Node'))
})

/** `null`: the client took it, otherwise what it said. */
async function handshake(forgery: Forgery): Promise<string | null> {
  const { leaf, intermediate, key, root, asked, identifier } = forgery
  const server = createServer({ cert: leaf + intermediate, key })
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  // Over a connection that stands already, so that the address is asked of the certificate alone.
  const wire = connectTcp(port, '127.0.0.1')
  const name = identifier.type === 'dns' ? { servername: asked } : {}
  const socket = connect({ socket: wire, host: asked, ca: root, ...name })
  try {
    return await new Promise<string | null>((resolve) => {
      socket.once('secureConnect', () => resolve(null))
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    })
  } finally {
    socket.destroy()
    server.close()
  }
}
